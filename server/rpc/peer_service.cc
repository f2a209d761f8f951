#include "server/rpc/peer_service.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/failed_reactors.h"
#include "common/rpc/topology_proto.h"
#include "server/node/entry_proto.h"
#include "server/node/limits.h"
#include "server/rpc/call_timing.h"
#include "server/rpc/hand_off_reader.h"
#include "server/rpc/undelivered_leases.h"

namespace meridian {
namespace {

// What every peer request must satisfy. Peers check too, but a foreign caller might not.
std::optional<Error> CheckPeerRequest(HybridClock& versions, const peer::v1::PeerHeader& header,
                                      const std::string& name_space) {
  if (header.hlc() != 0) {
    const absl::Status merged = versions.Merge(header.hlc());
    if (!merged.ok()) return FromStatus(merged);
  }
  return limits::CheckNamespace(name_space);
}

std::optional<Error> CheckWrite(const peer::v1::Write& write, int index) {
  const std::string field = absl::StrCat("writes[", index, "]");
  if (write.kind() < peer::v1::WRITE_KIND_SET || write.kind() > peer::v1::WRITE_KIND_TOUCH) {
    Error error{
        grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, "unknown write kind", {}};
    error.details.field = field + ".kind";
    return error;
  }
  return limits::CheckSetEntry(write.entry(), write.entry().key(), field + ".entry");
}

}  // namespace

PeerServiceHandlers::PeerServiceHandlers(const NodeContext& context, ReadPath& reads,
                                         WritePath& writes, Explainer& explainer,
                                         HandOffTarget* hand_off)
    : context_(context),
      reads_(reads),
      writes_(writes),
      explainer_(explainer),
      hand_off_(hand_off) {}

void PeerServiceHandlers::FillHeader(peer::v1::PeerHeader* header) const {
  header->set_epoch(context_.topology.Get()->epoch());
  header->set_node(context_.node_id);
  header->set_hlc(context_.versions.last());
  header->set_wall_unix_ms(static_cast<uint64_t>(absl::ToUnixMillis(context_.clock.Now())));
}

template <typename Response>
void PeerServiceHandlers::AddTopology(uint64_t sender_epoch, Response* response) const {
  const TopologyHolder::Snapshot topology = context_.topology.Get();
  if (topology->epoch() > sender_epoch) ToProto(*topology, response->mutable_topology());
}

grpc::ServerUnaryReactor* PeerServiceHandlers::BatchGet(grpc::CallbackServerContext* context,
                                                        const peer::v1::BatchGetRequest* request,
                                                        peer::v1::BatchGetResponse* response) {
  batches_.fetch_add(1, std::memory_order_relaxed);
  std::optional<Error> error =
      CheckPeerRequest(context_.versions, request->header(), request->namespace_());
  if (!error) {
    error = limits::CheckBatch(static_cast<size_t>(request->keys_size()), 0, "keys");
  }
  for (int i = 0; !error && i < request->keys_size(); ++i) {
    error = limits::CheckKey(request->keys(i), "keys");
  }
  if (!error) error = limits::CheckOptions(request->options());
  if (error) return FailUnary(context, ToGrpcStatus(*error));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto read = std::make_shared<ReadRequest>();
  read->name_space = request->namespace_();
  read->keys.assign(request->keys().begin(), request->keys().end());
  read->options = FromProto(request->options());
  read->deadline = DeadlineOf(*context, context_.clock.Now());
  read->request_id = request->header().request_id();
  read->caller = Caller::kPeer;
  reads_.Read(*read,
              [this, context, read, request, response, reactor](std::vector<ReadResult> results) {
                GiveBackUndelivered(*context, *read, results, context_.clock.Now(), writes_);
                FillHeader(response->mutable_header());
                bool not_owner = false;
                for (const ReadResult& result : results) {
                  ToProto(result, read->options.omit_value, response->add_entries());
                  not_owner |= result.error != nullptr && result.error->reason == reason::kNotOwner;
                }
                if (not_owner) AddTopology(request->header().epoch(), response);
                reactor->Finish(grpc::Status::OK);
              });
  return reactor;
}

grpc::ServerUnaryReactor* PeerServiceHandlers::BatchWrite(
    grpc::CallbackServerContext* context, const peer::v1::BatchWriteRequest* request,
    peer::v1::BatchWriteResponse* response) {
  batches_.fetch_add(1, std::memory_order_relaxed);
  std::optional<Error> error =
      CheckPeerRequest(context_.versions, request->header(), request->namespace_());
  if (!error) {
    error = limits::CheckBatch(static_cast<size_t>(request->writes_size()), 0, "writes");
  }
  auto write = std::make_shared<WriteRequest>();
  for (int i = 0; !error && i < request->writes_size(); ++i) {
    const peer::v1::Write& item = request->writes(i);
    error = CheckWrite(item, i);
    const WriteKind kind = static_cast<WriteKind>(static_cast<int>(item.kind()) - 1);
    if (!error) write->items.push_back(FromProto(item.entry(), kind));
  }
  if (error) return FailUnary(context, ToGrpcStatus(*error));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  write->name_space = request->namespace_();
  write->deadline = DeadlineOf(*context, context_.clock.Now());
  write->request_id = request->header().request_id();
  write->caller = Caller::kPeer;
  writes_.Write(
      *write, [this, write, request, response, reactor](std::vector<WriteResult> results) {
        FillHeader(response->mutable_header());
        bool not_owner = false;
        for (const WriteResult& result : results) {
          ToProto(result, response->add_results());
          not_owner |= result.error != nullptr && result.error->reason == reason::kNotOwner;
        }
        if (not_owner) AddTopology(request->header().epoch(), response);
        reactor->Finish(grpc::Status::OK);
      });
  return reactor;
}

grpc::ServerUnaryReactor* PeerServiceHandlers::Explain(grpc::CallbackServerContext* context,
                                                       const peer::v1::ExplainRequest* request,
                                                       peer::v1::ExplainResponse* response) {
  std::optional<Error> error = limits::CheckNamespace(request->namespace_());
  if (!error) error = limits::CheckKey(request->key(), "key");
  if (error) return FailUnary(context, ToGrpcStatus(*error));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const auto answer = [this, response, reactor](const std::vector<TierReport>& reports) {
    FillHeader(response->mutable_header());
    for (const TierReport& report : reports) ToProto(report, response->add_tiers());
    reactor->Finish(grpc::Status::OK);
  };
  if (request->memory_only()) {
    answer(explainer_.InMemory(request->namespace_(), request->key()));
  } else {
    explainer_.Explain(request->namespace_(), request->key(),
                       DeadlineOf(*context, context_.clock.Now()), answer);
  }
  return reactor;
}

grpc::ServerUnaryReactor* PeerServiceHandlers::Ping(grpc::CallbackServerContext* context,
                                                    const peer::v1::PingRequest* request,
                                                    peer::v1::PingResponse* response) {
  if (request->header().hlc() != 0) {
    const absl::Status merged = context_.versions.Merge(request->header().hlc());
    if (!merged.ok()) return FailUnary(context, ToGrpcStatus(FromStatus(merged)));
  }
  FillHeader(response->mutable_header());
  AddTopology(request->header().epoch(), response);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerReadReactor<peer::v1::HandOffRequest>* PeerServiceHandlers::HandOff(
    grpc::CallbackServerContext*, peer::v1::HandOffResponse* response) {
  if (hand_off_ == nullptr) {
    return new FailedReader<peer::v1::HandOffRequest>(
        MakeError(grpc::StatusCode::UNIMPLEMENTED, reason::kNotBuilt,
                  "without a regional store nobody would tell what is handed over is overtaken"));
  }
  FillHeader(response->mutable_header());
  return new HandOffReader(*hand_off_, context_.versions, context_.clock, response);
}

grpc::ServerUnaryReactor* PeerServiceHandlers::PushFence(grpc::CallbackServerContext* context,
                                                         const peer::v1::PushFenceRequest* request,
                                                         peer::v1::PushFenceResponse* response) {
  for (const peer::v1::Fence& proto : request->fences()) {
    const std::optional<Fence> fence = FromProto(proto);
    std::optional<Error> error = limits::CheckNamespace(proto.namespace_());
    if (!error && !fence) {
      error =
          Error{grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, "this is no fence", {}};
    }
    if (!error) {
      const absl::StatusOr<uint64_t> learned = context_.fences->LearnPushed(*fence);
      if (!learned.ok()) error = FromStatus(learned.status());
      if (learned.ok()) response->set_hlc(std::max(response->hlc(), *learned));
    }
    if (error) return FailUnary(context, ToGrpcStatus(*error));
  }
  FillHeader(response->mutable_header());
  AddTopology(request->header().epoch(), response);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* PeerServiceHandlers::GetFence(grpc::CallbackServerContext* context,
                                                        const peer::v1::GetFenceRequest* request,
                                                        peer::v1::GetFenceResponse* response) {
  const std::optional<Fence> fence = FromProto(request->fence());
  std::optional<Error> error = limits::CheckNamespace(request->fence().namespace_());
  if (!error && !fence) {
    error =
        Error{grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, "this is no fence", {}};
  }
  if (error) return FailUnary(context, ToGrpcStatus(*error));
  FillHeader(response->mutable_header());
  response->set_hlc(context_.fences->ClockOf(*fence));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace meridian
