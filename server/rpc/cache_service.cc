#include "server/rpc/cache_service.h"

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "common/rpc/failed_reactors.h"
#include "common/rpc/topology_proto.h"
#include "server/node/dependencies.h"
#include "server/node/entry_proto.h"
#include "server/node/key_form.h"
#include "server/node/limits.h"
#include "server/rpc/batch_get_codec.h"
#include "server/rpc/call_timing.h"
#include "server/rpc/fence_target.h"
#include "server/rpc/undelivered_leases.h"

namespace meridian {
namespace {

std::string IndexedField(std::string_view list, int index, std::string_view field) {
  return absl::StrCat(ToAbsl(list), "[", index, "]", field.empty() ? "" : ".", ToAbsl(field));
}

}  // namespace

// One call: when it began, how it ends, what is counted. Owned by the callbacks that answer it.
class CacheServiceHandlers::Call {
 public:
  Call(CacheServiceHandlers& service, grpc::CallbackServerContext* context, RpcMethod method,
       std::string name_space)
      : service_(service),
        context_(*context),
        reactor_(context->DefaultReactor()),
        method_(method),
        name_space_(std::move(name_space)),
        began_(service.context_.clock.Monotonic()) {
    const absl::Time now = service.context_.clock.Now();
    read.deadline = write.deadline = DeadlineOf(*context, now);
    read.name_space = write.name_space = name_space_;
  }

  // Until Finish.
  const grpc::CallbackServerContext& context() const { return context_; }
  grpc::ServerUnaryReactor* reactor() const { return reactor_; }

  void Finish(const grpc::Status& status) {
    // Nobody waits for a read that warms; `read` has its options once they were found to be valid.
    if (read.options.warm_source.empty()) {
      service_.metrics_.OnCall(method_, name_space_, status.error_code(),
                               service_.context_.clock.Monotonic() - began_);
    }
    reactor_->Finish(status);
  }
  grpc::ServerUnaryReactor* Refuse(const Error& error) {
    grpc::ServerUnaryReactor* reactor = reactor_;  // Finish may end this object's last use.
    Finish(ToGrpcStatus(error));
    return reactor;
  }

  // Takes the policies for the whole call. From now on keys are taken in the form in which the
  // namespace caches them. REQUIRES: the namespace's name is valid.
  void PrepareKeys() {
    const Namespace* name_space = service_.context_.namespaces.Resolve(name_space_);
    if (name_space == nullptr) return;
    read.policies = write.policies = &name_space->policies();
    policy_ = &read.policies->base();  // Keys are formed before their slot is known.
    if (FormsKeys(*policy_)) former_ = name_space;
  }
  bool forms_keys() const { return former_ != nullptr; }
  const KeyPolicy& key_policy() const {
    static constexpr KeyPolicy kAsTheyAre;
    return policy_ != nullptr ? policy_->key : kAsTheyAre;
  }

  // The key as it is cached.
  std::string_view Formed(std::string_view key) {
    if (former_ == nullptr) return key;
    const std::string_view formed = FormKey(policy_->key, key, &forms_.emplace_back());
    renames_ |= formed != key;
    return formed;
  }
  // Whether some key is cached under another name than the caller's: by that name events tell of it.
  bool renames_keys() const { return renames_; }
  // True, and counted, when the caller's key is not to be cached.
  bool Bypasses(std::string_view key) {
    if (former_ == nullptr || !IsBypassed(*policy_, key)) return false;
    former_->counters.bypassed.fetch_add(1, std::memory_order_relaxed);
    return true;
  }
  // Of a key that is in its form.
  void AddSet(const cache::v1::SetEntry& entry, std::string_view key) {
    WriteItem& item = write.items.emplace_back(FromProto(entry, WriteKind::kSet));
    item.key = key;
    if (forms_keys()) FormDependencies(policy_->key, &item.depends_on);
  }
  grpc::ServerUnaryReactor* Succeed() {
    grpc::ServerUnaryReactor* reactor = reactor_;
    Finish(grpc::Status::OK);
    return reactor;
  }

  ReadRequest read;
  WriteRequest write;
  std::vector<int> indexes;  // Of a batch: which entry each item of `write` is.

 private:
  CacheServiceHandlers& service_;
  const grpc::CallbackServerContext& context_;
  grpc::ServerUnaryReactor* const reactor_;
  const RpcMethod method_;
  const std::string name_space_;
  const absl::Duration began_;
  const Namespace* former_ = nullptr;  // Set when its policy forms keys.
  bool renames_ = false;
  const NamespacePolicy* policy_ = nullptr;
  std::deque<std::string> forms_;  // What formed keys point into.
};

CacheServiceHandlers::CacheServiceHandlers(const NodeContext& context, ReadPath& reads,
                                           WritePath& writes, FencePath& fences,
                                           TopologyStreams& topology_streams,
                                           WatchStreams& watch_streams, RpcMetrics& metrics)
    : context_(context),
      reads_(reads),
      writes_(writes),
      fences_(fences),
      topology_streams_(topology_streams),
      watch_streams_(watch_streams),
      metrics_(metrics) {}

void CacheServiceHandlers::FillHeader(const cache::v1::RequestHeader& request,
                                      cache::v1::ResponseHeader* header) const {
  header->set_request_id(request.request_id());
  header->set_epoch(context_.topology.Get()->epoch());
  header->set_node(context_.node_id);
}

void CacheServiceHandlers::Sample(const cache::v1::RequestHeader& header, const Call& call) const {
  if (context_.accesses == nullptr || !call.read.options.warm_source.empty()) return;
  const uint64_t caller = header.session().empty() ? AccessSampler::CallerOf(call.context().peer())
                                                   : AccessSampler::CallerOf(header.session());
  if (!context_.accesses->IsSampled(caller)) return;
  context_.accesses->Add(caller, call.read.name_space, call.read.keys, context_.clock.Monotonic());
}

uint64_t CacheServiceHandlers::WatchIncarnation(const Call& call,
                                                const std::vector<ReadResult>& results) const {
  if (context_.watch == nullptr || call.renames_keys()) return 0;
  for (const ReadResult& result : results) {
    if (result.fleeting) return 0;
  }
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  const uint16_t self = topology->IndexOf(context_.node_id);
  if (self == Topology::kNoOwner) return 0;
  for (const std::string_view key : call.read.keys) {
    const uint32_t slot = SlotOf(call.read.name_space, key);
    if (topology->OwnerIndex(slot) != self || !context_.watch->Follows(slot)) return 0;
  }
  return context_.watch->incarnation();
}

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

grpc::ServerUnaryReactor* CacheServiceHandlers::Get(grpc::CallbackServerContext* context,
                                                    const cache::v1::GetRequest* request,
                                                    cache::v1::GetResponse* response) {
  auto call = std::make_shared<Call>(*this, context, RpcMethod::kGet, request->namespace_());
  std::optional<Error> error = limits::CheckHeader(request->header());
  if (!error) error = limits::CheckNamespace(request->namespace_());
  if (!error) error = limits::CheckOptions(request->options());
  if (!error) call->PrepareKeys();
  const std::string_view key = call->Formed(request->key());
  if (!error) error = limits::CheckKey(key, "key");
  if (error) return call->Refuse(*error);
  if (call->Bypasses(request->key())) {
    FillHeader(request->header(), response->mutable_header());
    response->mutable_entry()->set_status(cache::v1::ENTRY_STATUS_MISS);
    return call->Succeed();
  }
  call->read.keys = {key};
  call->read.options = FromProto(request->options());
  if (!call->read.options.warm_source.empty()) metrics_.OnWarmRead(request->namespace_(), 1);
  call->read.request_id = request->header().request_id();
  Sample(request->header(), *call);
  reads_.Read(call->read, [this, call, request, response](std::vector<ReadResult> results) {
    GiveBackUndelivered(call->context(), call->read, results, context_.clock.Now(), writes_);
    FillHeader(request->header(), response->mutable_header());
    if (request->options().for_near_cache()) {
      response->mutable_header()->set_watch_incarnation(WatchIncarnation(*call, results));
    }
    if (results[0].state == EntryState::kError) {
      call->Finish(ToGrpcStatus(*results[0].error));
      return;
    }
    ToProto(results[0], request->options().omit_value(), response->mutable_entry());
    call->Finish(grpc::Status::OK);
  });
  return call->reactor();
}

// A BatchGet on raw bytes. Owns the bytes that its key views point into.
class CacheServiceHandlers::BatchGetCall : public Call {
 public:
  using Call::Call;

  // Hands the valid keys to the read and keeps the errors of the others.
  void TakeKeys() {
    const bool all_valid =
        !forms_keys() &&
        std::all_of(fields.keys.begin(), fields.keys.end(), [](std::string_view key) {
          return !key.empty() && key.size() <= limits::kMaxKeyBytes;
        });
    if (all_valid) {
      read.keys = std::move(fields.keys);
      return;
    }
    for (size_t i = 0; i < fields.keys.size(); ++i) {
      const std::string_view key = Formed(fields.keys[i]);
      if (auto bad = limits::CheckKey(key, absl::StrCat("keys[", i, "]"))) {
        refused[i] = *std::move(bad);
      } else if (Bypasses(fields.keys[i])) {
        refused[i] = std::nullopt;
      } else {
        read.keys.push_back(key);
      }
    }
  }

  // The answers with those of the refused keys at their places.
  std::vector<ReadResult> WithRefused(std::vector<ReadResult> answers) {
    std::vector<ReadResult> results(fields.keys.size());
    size_t next = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      const auto it = refused.find(i);
      if (it == refused.end()) {
        results[i] = std::move(answers[next++]);
      } else if (it->second) {
        SetError(*std::move(it->second), &results[i]);
      }
    }
    return results;
  }

  std::unique_ptr<grpc::Slice> bytes;  // A small slice has its bytes within: it must not move.
  BatchGetFields fields;
  // By index of the key; nullopt: it is not cached, a miss.
  std::map<size_t, std::optional<Error>> refused;
};

grpc::ServerUnaryReactor* CacheServiceHandlers::BatchGet(grpc::CallbackServerContext* context,
                                                         const grpc::ByteBuffer* request,
                                                         grpc::ByteBuffer* response) {
  auto bytes = std::make_unique<grpc::Slice>();
  BatchGetFields fields;
  const bool parsed =
      (request->TrySingleSlice(bytes.get()).ok() || request->DumpToSingleSlice(bytes.get()).ok()) &&
      ParseBatchGet({reinterpret_cast<const char*>(bytes->begin()), bytes->size()}, &fields);
  auto call = std::make_shared<BatchGetCall>(*this, context, RpcMethod::kBatchGet,
                                             std::string(fields.name_space));
  call->bytes = std::move(bytes);
  call->fields = std::move(fields);
  if (!parsed) {
    return call->Refuse(Error{grpc::StatusCode::INVALID_ARGUMENT,
                              reason::kMalformedRequest,
                              "the message is no BatchGetRequest",
                              {}});
  }
  const std::vector<std::string_view>& keys = call->fields.keys;
  std::optional<Error> error = limits::CheckHeader(call->fields.header);
  if (!error) error = limits::CheckNamespace(call->fields.name_space);
  if (!error) error = limits::CheckBatch(keys.size(), call->bytes->size(), "keys");
  if (!error) error = limits::CheckOptions(call->fields.options);
  if (error) return call->Refuse(*error);
  call->PrepareKeys();
  if (!call->fields.options.warm_source().empty()) {
    metrics_.OnWarmRead(call->fields.name_space, keys.size());
  }
  call->TakeKeys();
  call->read.options = FromProto(call->fields.options);
  call->read.request_id = call->fields.header.request_id();
  Sample(call->fields.header, *call);
  reads_.Read(call->read, [this, call, response](std::vector<ReadResult> results) {
    GiveBackUndelivered(call->context(), call->read, results, context_.clock.Now(), writes_);
    if (!call->refused.empty()) results = call->WithRefused(std::move(results));
    cache::v1::ResponseHeader header;
    FillHeader(call->fields.header, &header);
    if (call->fields.options.for_near_cache()) {
      header.set_watch_incarnation(WatchIncarnation(*call, results));
    }
    *response = WriteBatchGetResponse(header.SerializeAsString(), &results,
                                      call->fields.options.omit_value());
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

grpc::ServerWriteReactor<grpc::ByteBuffer>* CacheServiceHandlers::Watch(
    grpc::CallbackServerContext*, const grpc::ByteBuffer* request) {
  return watch_streams_.Open(*request);
}

grpc::ServerBidiReactor<cache::v1::PipeRequest, cache::v1::PipeResponse>*
CacheServiceHandlers::Pipe(grpc::CallbackServerContext*) {
  return new FailedBidi<cache::v1::PipeRequest, cache::v1::PipeResponse>(
      NotBuiltStatus("CacheService.Pipe"));
}

grpc::ServerUnaryReactor* CacheServiceHandlers::GetTopology(
    grpc::CallbackServerContext* context, const cache::v1::GetTopologyRequest*,
    cache::v1::GetTopologyResponse* response) {
  ToProto(*context_.topology.Get(), response->mutable_topology());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerWriteReactor<cache::v1::WatchTopologyResponse>* CacheServiceHandlers::WatchTopology(
    grpc::CallbackServerContext*, const cache::v1::WatchTopologyRequest* request) {
  return topology_streams_.Open(request->known_epoch());
}

}  // namespace meridian
