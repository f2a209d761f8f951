// The calls of CacheService that change something.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/node/dependencies.h"
#include "server/node/entry_proto.h"
#include "server/node/limits.h"
#include "server/rpc/cache_call.h"
#include "server/rpc/cache_service.h"
#include "server/rpc/fence_target.h"

namespace meridian {
namespace {

std::string IndexedField(std::string_view list, int index, std::string_view field) {
  return absl::StrCat(ToAbsl(list), "[", index, "]", field.empty() ? "" : ".", ToAbsl(field));
}

}  // namespace

// Writes the one item of `call`; its error is the call's.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* CacheServiceHandlers::WriteOne(std::shared_ptr<Call> call,
                                                         const Request* request,
                                                         Response* response) {
  writes_.Write(call->write, [this, call, request, response](std::vector<WriteResult> results) {
    FillHeader(request->header(), response->mutable_header());
    if (results[0].state == EntryState::kError) {
      call->Finish(ToGrpcStatus(*results[0].error));
      return;
    }
    ToProto(results[0], response->mutable_result());
    call->Finish(grpc::Status::OK);
  });
  return call->reactor();
}

// Writes the items of `call`; refused entries have their error already, the others get their
// answer.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* CacheServiceHandlers::WriteBatch(std::shared_ptr<Call> call,
                                                           const Request* request,
                                                           Response* response) {
  writes_.Write(call->write, [this, call, request, response](std::vector<WriteResult> results) {
    FillHeader(request->header(), response->mutable_header());
    for (size_t i = 0; i < results.size(); ++i) {
      ToProto(results[i], response->mutable_results(call->indexes[i]));
    }
    call->Finish(grpc::Status::OK);
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* CacheServiceHandlers::Set(grpc::CallbackServerContext* context,
                                                    const cache::v1::SetRequest* request,
                                                    cache::v1::SetResponse* response) {
  auto call = std::make_shared<Call>(*this, context, RpcMethod::kSet, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckWritableNamespace(request->namespace_());
  if (!error) call->PrepareKeys();
  const std::string_view key = call->Formed(request->entry().key());
  if (!error) error = limits::CheckSetEntry(request->entry(), key, "entry");
  if (!error) {
    error = limits::CheckLease(request->entry(), request->namespace_(), key, context_.clock.Now(),
                               "entry");
  }
  if (error) return call->Refuse(*error);
  if (call->Bypasses(request->entry().key())) {
    FillHeader(request->header(), response->mutable_header());
    response->mutable_result()->set_status(cache::v1::ENTRY_STATUS_BYPASSED);
    return call->Succeed();
  }
  call->AddSet(request->entry(), key);
  call->write.request_id = request->header().request_id();
  return WriteOne(std::move(call), request, response);
}

grpc::ServerUnaryReactor* CacheServiceHandlers::BatchSet(grpc::CallbackServerContext* context,
                                                         const cache::v1::BatchSetRequest* request,
                                                         cache::v1::BatchSetResponse* response) {
  auto call = std::make_shared<Call>(*this, context, RpcMethod::kBatchSet, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckWritableNamespace(request->namespace_());
  if (!error) {
    error = limits::CheckBatch(static_cast<size_t>(request->entries_size()),
                               request->ByteSizeLong(), "entries");
  }
  if (error) return call->Refuse(*error);
  call->PrepareKeys();
  for (int i = 0; i < request->entries_size(); ++i) {
    cache::v1::WriteResult* result = response->add_results();
    const std::string_view key = call->Formed(request->entries(i).key());
    const std::string field = IndexedField("entries", i, "");
    std::optional<Error> bad = limits::CheckSetEntry(request->entries(i), key, field);
    if (!bad) {
      bad = limits::CheckLease(request->entries(i), request->namespace_(), key,
                               context_.clock.Now(), field);
    }
    if (bad) {
      result->set_status(cache::v1::ENTRY_STATUS_ERROR);
      ToProto(*bad, result->mutable_error());
      continue;
    }
    if (call->Bypasses(request->entries(i).key())) {
      result->set_status(cache::v1::ENTRY_STATUS_BYPASSED);
      continue;
    }
    call->indexes.push_back(i);
    call->AddSet(request->entries(i), key);
  }
  call->write.request_id = request->header().request_id();
  return WriteBatch(std::move(call), request, response);
}

grpc::ServerUnaryReactor* CacheServiceHandlers::Invalidate(
    grpc::CallbackServerContext* context, const cache::v1::InvalidateRequest* request,
    cache::v1::InvalidateResponse* response) {
  auto call = std::make_shared<Call>(*this, context, RpcMethod::kInvalidate, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckWritableNamespace(request->namespace_());
  if (!error && request->target_case() == cache::v1::InvalidateRequest::TARGET_NOT_SET) {
    error = Error{grpc::StatusCode::INVALID_ARGUMENT,
                  reason::kTargetMissing,
                  "say what to invalidate: key, tag, prefix or all",
                  {}};
    error->details.field = "target";
  }
  if (!error && !request->has_key()) {
    call->PrepareKeys();
    FenceRequest fence;
    error = ReadFenceTarget(*request, call->key_policy(), &fence);
    if (error) return call->Refuse(*error);
    return PutFence(std::move(call), std::move(fence), request, response);
  }
  if (!error) call->PrepareKeys();
  const std::string_view key = call->Formed(request->key());
  if (!error) error = limits::CheckKey(key, "key");
  if (error) return call->Refuse(*error);
  WriteItem item;
  item.kind = WriteKind::kInvalidate;
  item.key = key;
  call->write.items.push_back(std::move(item));
  call->write.request_id = request->header().request_id();
  if (request->cascade()) return Cascade(std::move(call), request, response);
  return WriteOne(std::move(call), request, response);
}

// Deletes the key, then puts a fence on what depends on it: whatever is made of the old value until
// then dies as well.
grpc::ServerUnaryReactor* CacheServiceHandlers::Cascade(std::shared_ptr<Call> call,
                                                        const cache::v1::InvalidateRequest* request,
                                                        cache::v1::InvalidateResponse* response) {
  writes_.Write(call->write, [this, call, request, response](std::vector<WriteResult> results) {
    if (results[0].state == EntryState::kError) {
      call->Finish(ToGrpcStatus(*results[0].error));
      return;
    }
    FenceRequest fence;
    fence.scope = FenceScope::kTag;
    fence.name = DependencyTag(call->write.items[0].key);
    PutFence(call, std::move(fence), request, response);
  });
  return call->reactor();
}

grpc::ServerUnaryReactor* CacheServiceHandlers::PutFence(
    std::shared_ptr<Call> call, FenceRequest fence, const cache::v1::InvalidateRequest* request,
    cache::v1::InvalidateResponse* response) {
  fence.name_space = request->namespace_();
  fence.deadline = call->write.deadline;
  grpc::ServerUnaryReactor* reactor = call->reactor();
  fences_.Invalidate(std::move(fence), [this, call, request, response](FenceResult result) {
    FillHeader(request->header(), response->mutable_header());
    if (result.result.state == EntryState::kError) {
      call->Finish(ToGrpcStatus(*result.result.error));
      return;
    }
    ToProto(result.result, response->mutable_result());
    for (const std::string& node : result.unconfirmed) response->add_unconfirmed_nodes(node);
    call->Finish(grpc::Status::OK);
  });
  return reactor;
}

grpc::ServerUnaryReactor* CacheServiceHandlers::BatchInvalidate(
    grpc::CallbackServerContext* context, const cache::v1::BatchInvalidateRequest* request,
    cache::v1::BatchInvalidateResponse* response) {
  auto call =
      std::make_shared<Call>(*this, context, RpcMethod::kBatchInvalidate, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckWritableNamespace(request->namespace_());
  if (!error) {
    error = limits::CheckBatch(static_cast<size_t>(request->keys_size()), request->ByteSizeLong(),
                               "keys");
  }
  if (error) return call->Refuse(*error);
  call->PrepareKeys();
  for (int i = 0; i < request->keys_size(); ++i) {
    cache::v1::WriteResult* result = response->add_results();
    const std::string_view key = call->Formed(request->keys(i));
    if (auto bad = limits::CheckKey(key, IndexedField("keys", i, ""))) {
      result->set_status(cache::v1::ENTRY_STATUS_ERROR);
      ToProto(*bad, result->mutable_error());
      continue;
    }
    WriteItem item;
    item.kind = WriteKind::kInvalidate;
    item.key = key;
    call->indexes.push_back(i);
    call->write.items.push_back(std::move(item));
  }
  call->write.request_id = request->header().request_id();
  return WriteBatch(std::move(call), request, response);
}

grpc::ServerUnaryReactor* CacheServiceHandlers::Touch(grpc::CallbackServerContext* context,
                                                      const cache::v1::TouchRequest* request,
                                                      cache::v1::TouchResponse* response) {
  auto call = std::make_shared<Call>(*this, context, RpcMethod::kTouch, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckWritableNamespace(request->namespace_());
  if (!error) call->PrepareKeys();
  const std::string_view key = call->Formed(request->key());
  if (!error) error = limits::CheckKey(key, "key");
  if (!error) error = limits::CheckTtl(request->ttl_ms(), "ttl_ms");
  if (error) return call->Refuse(*error);
  WriteItem item;
  item.kind = WriteKind::kTouch;
  item.key = key;
  item.ttl = absl::Milliseconds(static_cast<int64_t>(request->ttl_ms()));
  call->write.items.push_back(std::move(item));
  call->write.request_id = request->header().request_id();
  return WriteOne(std::move(call), request, response);
}

}  // namespace meridian
