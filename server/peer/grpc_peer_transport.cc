#include "server/peer/grpc_peer_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/topology_proto.h"
#include "server/node/entry_proto.h"
#include "server/node/hand_off_proto.h"

namespace meridian {
namespace {

template <typename Request, typename Response>
struct PeerCall {
  grpc::ClientContext context;
  Request request;
  Response response;
};

absl::Status ToAbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::Status WrongCount(const Member& to, int got, size_t expected) {
  return absl::InternalError(
      absl::StrCat("node ", to.id, " answered ", got, " of ", expected, " entries"));
}

// The newer topology that came with a NOT_OWNER, if it is one.
template <typename Response>
std::optional<Topology> TopologyIn(const Response& response) {
  if (!response.has_topology()) return std::nullopt;
  absl::StatusOr<Topology> topology = FromProto(response.topology());
  if (!topology.ok()) return std::nullopt;
  return *std::move(topology);
}

}  // namespace

GrpcPeerTransport::GrpcPeerTransport(std::string node_id, HybridClock& versions, const Clock& clock,
                                     ClockGuard& clock_guard, ChannelSecurity security)
    : node_id_(std::move(node_id)),
      versions_(versions),
      clock_(clock),
      clock_guard_(clock_guard),
      security_(std::move(security)) {}

GrpcPeerTransport::~GrpcPeerTransport() {
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(
      +[](int* calls) { return *calls == 0; }, &calls_));
}

std::shared_ptr<GrpcPeerTransport::Stub> GrpcPeerTransport::StubFor(const std::string& address) {
  absl::MutexLock lock(&mu_);
  std::shared_ptr<Stub>& stub = stubs_[address];
  if (stub == nullptr) stub = peer::v1::PeerService::NewStub(CreateChannelTo(address, security_));
  return stub;
}

void GrpcPeerTransport::Forget(const Topology& topology) {
  std::vector<std::shared_ptr<Stub>> dropped;  // Destroyed without the lock.
  std::vector<Context> cancelled;
  const auto named = [&topology](const std::string& address) {
    return std::any_of(topology.members().begin(), topology.members().end(),
                       [&](const Member& member) { return member.peer_address == address; });
  };
  {
    absl::MutexLock lock(&mu_);
    for (auto it = stubs_.begin(); it != stubs_.end();) {
      if (named(it->first)) {
        ++it;
      } else {
        dropped.push_back(std::move(it->second));
        stubs_.erase(it++);
      }
    }
    absl::erase_if(steady_ahead_, [&](const auto& one) { return !named(one.first); });
    for (const auto& [context, call] : live_) {
      if (!named(call.first)) cancelled.push_back(call.second);
    }
  }
  for (const Context& context : cancelled) context->TryCancel();
}

void GrpcPeerTransport::CancelAll() {
  std::vector<Context> cancelled;  // gRPC may run their callbacks here, so not under the lock.
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [context, call] : live_) cancelled.push_back(call.second);
  }
  for (const Context& context : cancelled) context->TryCancel();
}

void GrpcPeerTransport::Began(const std::string& address, Context context) {
  absl::MutexLock lock(&mu_);
  ++calls_;
  grpc::ClientContext* const key = context.get();
  live_.emplace(key, std::make_pair(address, std::move(context)));
}

void GrpcPeerTransport::Ended(grpc::ClientContext* context) {
  std::pair<std::string, Context> call;  // Destroyed without the lock.
  absl::MutexLock lock(&mu_);
  const auto it = live_.find(context);
  call = std::move(it->second);
  live_.erase(it);
}

template <typename Call>
void GrpcPeerTransport::Release(std::shared_ptr<Call>* call, std::shared_ptr<Stub>* stub) {
  Ended(&(*call)->context);
  call->reset();
  stub->reset();
  absl::MutexLock lock(&mu_);
  --calls_;
}

void GrpcPeerTransport::FillHeader(uint64_t epoch, std::string_view request_id,
                                   peer::v1::PeerHeader* header) {
  header->set_epoch(epoch);
  header->set_node(node_id_);
  header->set_hlc(versions_.last());
  header->set_request_id(request_id.data(), request_id.size());
}

void GrpcPeerTransport::NoteSteady(const std::string& address, uint64_t steady_ms) {
  if (steady_ms == 0) return;
  const absl::Duration ahead =
      absl::Milliseconds(static_cast<int64_t>(steady_ms)) - clock_.Monotonic();
  absl::MutexLock lock(&mu_);
  steady_ahead_[address] = ahead;
}

uint64_t GrpcPeerTransport::SteadyOf(const std::string& address) {
  absl::MutexLock lock(&mu_);
  const auto it = steady_ahead_.find(address);
  if (it == steady_ahead_.end()) return 0;
  return static_cast<uint64_t>(
      std::max<int64_t>(0, absl::ToInt64Milliseconds(clock_.Monotonic() + it->second)));
}

void GrpcPeerTransport::NoteClock(const peer::v1::PeerHeader& header, absl::Duration sent) {
  const absl::Duration now = clock_.Monotonic();
  const int64_t now_ms = absl::ToInt64Milliseconds(now);
  int64_t due = next_clock_note_ms_.load(std::memory_order_relaxed);
  if (header.wall_unix_ms() == 0 || now_ms < due) return;
  if (!next_clock_note_ms_.compare_exchange_strong(due, now_ms + 1000)) return;
  clock_guard_.Measured(absl::StrCat("node ", header.node()),
                        absl::FromUnixMillis(static_cast<int64_t>(header.wall_unix_ms())), sent,
                        now);
}

void GrpcPeerTransport::Read(const Member& to, const PeerRead& request, absl::Time deadline,
                             ReadReplyCallback callback) {
  auto call = std::make_shared<PeerCall<peer::v1::BatchGetRequest, peer::v1::BatchGetResponse>>();
  FillHeader(request.epoch, request.request_id, call->request.mutable_header());
  call->request.set_namespace_(request.name_space.data(), request.name_space.size());
  for (const std::string_view key : request.keys) call->request.add_keys(key.data(), key.size());
  ToProto(request.options, call->request.mutable_options());
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->BatchGet(
      &call->context, &call->request, &call->response,
      [this, call, stub, to, expected = request.keys.size(), sent = clock_.Monotonic(),
       callback = std::move(callback)](const grpc::Status& status) mutable {
        PeerReadReply reply;
        reply.status = ToAbslStatus(status);
        if (status.ok() && call->response.entries_size() != static_cast<int>(expected)) {
          reply.status = WrongCount(to, call->response.entries_size(), expected);
        }
        if (reply.status.ok()) {
          (void)versions_.Merge(call->response.header().hlc());
          NoteClock(call->response.header(), sent);
          reply.results.reserve(expected);
          for (const auto& entry : call->response.entries()) {
            reply.results.push_back(FromProto(entry));
          }
          reply.topology = TopologyIn(call->response);
        }
        callback(std::move(reply));
        Release(&call, &stub);
      });
}

void GrpcPeerTransport::Write(const Member& to, const PeerWrite& request, absl::Time deadline,
                              WriteReplyCallback callback) {
  auto call =
      std::make_shared<PeerCall<peer::v1::BatchWriteRequest, peer::v1::BatchWriteResponse>>();
  FillHeader(request.epoch, request.request_id, call->request.mutable_header());
  call->request.set_namespace_(request.name_space.data(), request.name_space.size());
  for (const WriteItem* item : request.items) {
    peer::v1::Write* write = call->request.add_writes();
    write->set_kind(static_cast<peer::v1::WriteKind>(static_cast<int>(item->kind) + 1));
    ToProto(*item, write->mutable_entry());
  }
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->BatchWrite(
      &call->context, &call->request, &call->response,
      [this, call, stub, to, expected = request.items.size(), sent = clock_.Monotonic(),
       callback = std::move(callback)](const grpc::Status& status) mutable {
        PeerWriteReply reply;
        reply.status = ToAbslStatus(status);
        if (status.ok() && call->response.results_size() != static_cast<int>(expected)) {
          reply.status = WrongCount(to, call->response.results_size(), expected);
        }
        if (reply.status.ok()) {
          (void)versions_.Merge(call->response.header().hlc());
          NoteClock(call->response.header(), sent);
          reply.results.reserve(expected);
          for (const auto& result : call->response.results()) {
            reply.results.push_back(FromProto(result));
          }
          reply.topology = TopologyIn(call->response);
        }
        callback(std::move(reply));
        Release(&call, &stub);
      });
}

void GrpcPeerTransport::Explain(const Member& to, std::string_view name_space, std::string_view key,
                                Tiers tiers, absl::Time deadline, ExplainReplyCallback callback) {
  auto call = std::make_shared<PeerCall<peer::v1::ExplainRequest, peer::v1::ExplainResponse>>();
  FillHeader(0, "", call->request.mutable_header());
  call->request.set_namespace_(name_space.data(), name_space.size());
  call->request.set_key(key.data(), key.size());
  call->request.set_memory_only(tiers == Tiers::kMemory);
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->Explain(
      &call->context, &call->request, &call->response,
      [this, call, stub, callback = std::move(callback)](const grpc::Status& status) mutable {
        if (!status.ok()) {
          callback(ToAbslStatus(status));
        } else {
          std::vector<TierReport> reports;
          for (const auto& tier : call->response.tiers()) {
            reports.push_back(FromProto(tier));
          }
          callback(std::move(reports));
        }
        Release(&call, &stub);
      });
}

void GrpcPeerTransport::Ping(const Member& to, uint64_t epoch, absl::Time deadline,
                             AnswerCallback callback) {
  auto call = std::make_shared<PeerCall<peer::v1::PingRequest, peer::v1::PingResponse>>();
  FillHeader(epoch, "", call->request.mutable_header());
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->Ping(
      &call->context, &call->request, &call->response,
      [this, call, stub, callback = std::move(callback)](const grpc::Status& status) mutable {
        PeerAnswer answer;
        answer.status = ToAbslStatus(status);
        if (answer.status.ok()) {
          answer.status = versions_.Merge(call->response.header().hlc());
          answer.topology = TopologyIn(call->response);
        }
        callback(std::move(answer));
        Release(&call, &stub);
      });
}

void GrpcPeerTransport::PushFence(const Member& to, uint64_t epoch, const Fence& fence,
                                  absl::Time deadline, AnswerCallback callback) {
  auto call = std::make_shared<PeerCall<peer::v1::PushFenceRequest, peer::v1::PushFenceResponse>>();
  FillHeader(epoch, "", call->request.mutable_header());
  ToProto(fence, call->request.add_fences());
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->PushFence(
      &call->context, &call->request, &call->response,
      [this, call, stub, callback = std::move(callback)](const grpc::Status& status) mutable {
        PeerAnswer answer;
        answer.status = ToAbslStatus(status);
        if (answer.status.ok()) {
          answer.hlc = call->response.hlc();
          answer.topology = TopologyIn(call->response);
        }
        callback(std::move(answer));
        Release(&call, &stub);
      });
}

void GrpcPeerTransport::GetFence(const Member& to, const Fence& fence, absl::Time deadline,
                                 ClockCallback callback) {
  auto call = std::make_shared<PeerCall<peer::v1::GetFenceRequest, peer::v1::GetFenceResponse>>();
  FillHeader(0, "", call->request.mutable_header());
  ToProto(fence, call->request.mutable_fence());
  call->context.set_deadline(absl::ToChronoTime(deadline));
  std::shared_ptr<Stub> stub = StubFor(to.peer_address);
  Began(to.peer_address, Context(call, &call->context));
  stub->async()->GetFence(
      &call->context, &call->request, &call->response,
      [this, call, stub, callback = std::move(callback)](const grpc::Status& status) mutable {
        if (status.ok()) {
          callback(call->response.hlc());
        } else {
          callback(ToAbslStatus(status));
        }
        Release(&call, &stub);
      });
}

// One message and its answer. Keeps itself alive until gRPC is done with it.
class GrpcPeerTransport::HandOffCall final
    : public grpc::ClientWriteReactor<peer::v1::HandOffRequest> {
 public:
  HandOffCall(GrpcPeerTransport& transport, std::string address, HandOffDone done)
      : transport_(transport),
        address_(std::move(address)),
        stub_(transport.StubFor(address_)),
        done_(std::move(done)) {}

  void Begin(std::shared_ptr<HandOffCall> self) {
    self_ = std::move(self);
    stub_->async()->HandOff(&context, &response_, this);
    StartWriteLast(&request, grpc::WriteOptions());
    StartCall();
  }

  void OnDone(const grpc::Status& status) override {
    if (status.ok()) {
      (void)transport_.versions_.Merge(response_.header().hlc());
      transport_.NoteSteady(address_, response_.steady_ms());
      done_(response_.accepted_entries());
    } else {
      done_(ToAbslStatus(status));
    }
    std::shared_ptr<HandOffCall> self = std::move(self_);
    std::shared_ptr<Stub> stub = std::move(stub_);
    transport_.Release(&self, &stub);  // May delete this.
  }

  grpc::ClientContext context;
  peer::v1::HandOffRequest request;

 private:
  GrpcPeerTransport& transport_;
  const std::string address_;
  std::shared_ptr<Stub> stub_;
  const HandOffDone done_;
  peer::v1::HandOffResponse response_;
  std::shared_ptr<HandOffCall> self_;
};

void GrpcPeerTransport::HandOff(const Member& to, uint64_t epoch, std::vector<HandOffItem> items,
                                absl::Time deadline, HandOffDone done) {
  auto call = std::make_shared<HandOffCall>(*this, to.peer_address, std::move(done));
  FillHeader(epoch, "", call->request.mutable_header());
  call->request.set_receiver_steady_ms(SteadyOf(to.peer_address));
  for (const HandOffItem& item : items) ToProto(item, call->request.add_entries());
  call->context.set_deadline(absl::ToChronoTime(deadline));
  Began(to.peer_address, Context(call, &call->context));
  call->Begin(call);
}

}  // namespace meridian
