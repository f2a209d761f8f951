#include "server/rpc/cache_service.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/rpc/failed_reactors.h"
#include "common/rpc/topology_proto.h"
#include "server/node/entry_proto.h"
#include "server/node/limits.h"
#include "server/rpc/batch_get_codec.h"
#include "server/rpc/cache_call.h"
#include "server/rpc/undelivered_leases.h"

namespace meridian {

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
