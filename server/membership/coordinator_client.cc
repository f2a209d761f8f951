#include "server/membership/coordinator_client.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

constexpr char kNotLeader[] = "NOT_LEADER";
// Two coordinators that name each other are not followed for ever.
constexpr size_t kMaxRedirects = 3;
// A coordinator cannot ask for heartbeats more or less often than this.
constexpr absl::Duration kMinInterval = absl::Milliseconds(10);
constexpr absl::Duration kMaxInterval = absl::Seconds(10);

}  // namespace

CoordinatorClient::CoordinatorClient(CoordinatorClientOptions options, const Clock& clock,
                                     Executor& executor, CoordinatorTransport& transport,
                                     TopologyHolder& topology)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      transport_(transport),
      topology_(topology),
      random_(options_.random_seed + 1),
      backoff_(options_.backoff),
      interval_(options_.heartbeat_interval) {
  assert(!options_.coordinators.empty());
}

void CoordinatorClient::Start(Member self) {
  executor_.Post([this, self = std::move(self)] {
    member_ = self;
    TryNext();
  });
}

void CoordinatorClient::Stop(std::function<void()> done) {
  executor_.Post([this, done = std::move(done)] {
    stopped_ = true;
    ++stream_id_;
    stream_.reset();
    SetStatus(false, "", "stopped");
    done();
  });
}

void CoordinatorClient::SetState(MemberState state) {
  executor_.Post([this, state] {
    member_.state = state;
    SendHeartbeat();
  });
}

void CoordinatorClient::SetWarmth(double warmth) {
  executor_.Post([this, warmth] { warmth_ = warmth; });
}

void CoordinatorClient::SetHandedOff(uint64_t epoch) {
  executor_.Post([this, epoch] {
    if (epoch != planned_epoch_) return;  // Of an earlier plan.
    handed_off_epoch_ = epoch;
    SendHeartbeat();
  });
}

CoordinatorClientStatus CoordinatorClient::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void CoordinatorClient::TryNext() {
  if (stopped_ || stream_ != nullptr) return;
  const std::string address = options_.coordinators[next_];
  next_ = (next_ + 1) % options_.coordinators.size();
  Connect(address);
}

void CoordinatorClient::Connect(const std::string& address) {
  const uint64_t stream = ++stream_id_;
  {
    absl::MutexLock lock(&mu_);
    status_.connected = false;
    status_.coordinator = address;
  }
  heard_at_ = clock_.Monotonic();
  hot_keys_due_ = heard_at_;
  planned_epoch_ = handed_off_epoch_ = 0;
  stream_ = transport_.Open(
      address, {[this, executor = &executor_, stream](CoordinatorReply reply) {
                  executor->Post([this, stream, reply = std::move(reply)]() mutable {
                    HandleReply(stream, std::move(reply));
                  });
                },
                [this, executor = &executor_, stream](StreamEnd end) {
                  executor->Post([this, stream, end = std::move(end)] { HandleEnd(stream, end); });
                }});
  SendHeartbeat();
  executor_.PostAfter(interval_, [this, stream] { Beat(stream); });
}

void CoordinatorClient::HandleReply(uint64_t stream, CoordinatorReply reply) {
  if (stream != stream_id_ || stopped_) return;
  heard_at_ = clock_.Monotonic();
  failures_ = 0;
  redirects_ = 0;
  logged_reason_.clear();
  backoff_.Reset();
  if (reply.heartbeat_interval > absl::ZeroDuration()) {
    interval_ = std::clamp(reply.heartbeat_interval, kMinInterval, kMaxInterval);
  }
  const CoordinatorClientStatus before = status();
  if (!before.connected) {
    spdlog::info("following coordinator {}", before.coordinator);
    SetStatus(true, before.coordinator, "");
  }
  if (reply.policies.has_value() && options_.policies != nullptr) {
    options_.policies->Follow(*reply.policies);
    if (!reply.topology.has_value()) SendHeartbeat();  // The coordinator learns it at once.
  }
  // First what is, then what comes.
  if (reply.topology.has_value()) TakeTopology(*std::move(reply.topology));
  if (reply.planned.has_value()) HandlePlanned(*std::move(reply.planned));
}

void CoordinatorClient::TakeTopology(Topology next) {
  const uint64_t epoch = next.epoch();
  const size_t members = next.members().size();
  if (next.region() != options_.region) {
    spdlog::error("refusing a topology of region '{}'", next.region());
  } else if (topology_.Offer(std::move(next))) {
    spdlog::info("epoch {}: {} members", epoch, members);
    SendHeartbeat();  // The coordinator learns at once which epoch is in use here.
  }
}

void CoordinatorClient::HandlePlanned(Topology planned) {
  if (planned.epoch() == planned_epoch_ || planned.region() != options_.region) return;
  planned_epoch_ = planned.epoch();
  if (options_.planned == nullptr) return SetHandedOff(planned_epoch_);
  spdlog::info("epoch {} is planned: {} members", planned.epoch(), planned.members().size());
  options_.planned(std::make_shared<const Topology>(std::move(planned)));
}

void CoordinatorClient::HandleEnd(uint64_t stream, const StreamEnd& end) {
  if (stream != stream_id_ || stopped_) return;
  ++stream_id_;
  stream_.reset();
  const CoordinatorClientStatus before = status();
  const std::string problem = absl::StrCat(end.reason, ": ", end.message);
  if (before.connected) {
    spdlog::warn("coordinator {} is lost: {}", before.coordinator, problem);
  }
  SetStatus(false, before.coordinator, problem);
  if (end.reason == kNotLeader && !end.leader_address.empty() &&
      end.leader_address != before.coordinator && redirects_ < kMaxRedirects) {
    ++redirects_;
    return Connect(end.leader_address);
  }
  if (!before.connected && end.reason != logged_reason_) {
    spdlog::warn("coordinator {} does not take this node: {}", before.coordinator, problem);
    logged_reason_ = end.reason;
  }
  redirects_ = 0;
  ++failures_;
  // The others of the list may do better, so they are tried at once; then it is time to wait.
  if (failures_ % options_.coordinators.size() != 0) return TryNext();
  const double random = static_cast<double>(random_() - 1) / std::minstd_rand::max();
  executor_.PostAfter(backoff_.Next(random), [this] { TryNext(); });
}

void CoordinatorClient::Beat(uint64_t stream) {
  if (stream != stream_id_ || stopped_) return;
  if (clock_.Monotonic() - heard_at_ >= std::max(options_.reply_timeout, 2 * interval_)) {
    return HandleEnd(stream, {"DEADLINE_EXCEEDED", "the coordinator does not answer", ""});
  }
  SendHeartbeat();
  executor_.PostAfter(interval_, [this, stream] { Beat(stream); });
}

void CoordinatorClient::SendHeartbeat() {
  if (stream_ == nullptr) return;
  NodeHeartbeat heartbeat = {member_,
                             options_.region,
                             topology_.Get()->epoch(),
                             clock_.Now(),
                             warmth_,
                             {},
                             handed_off_epoch_,
                             {},
                             {},
                             0,
                             {},
                             0,
                             ""};
  const absl::Duration now = clock_.Monotonic();
  // A standby would only throw the list away, so who has not answered yet is not sent it.
  if (options_.hot_keys != nullptr && now >= hot_keys_due_ && status().connected) {
    heartbeat.hot_keys = options_.hot_keys();
    hot_keys_due_ = now + options_.hot_keys_interval;
  }
  if (options_.accesses != nullptr && now >= accesses_due_ && status().connected) {
    heartbeat.accesses = options_.accesses->Take();
    heartbeat.callers_per_access_sample = options_.accesses->callers_per_sample();
    heartbeat.sent_at = now;
    accesses_due_ = now + options_.accesses_interval;
  }
  if (options_.policies != nullptr) {
    const PolicyFollowerStatus followed = options_.policies->Status();
    heartbeat.policy_revision = followed.revision;
    heartbeat.policy_problem = followed.problem;
  }
  stream_->Send(heartbeat);
}

void CoordinatorClient::SetStatus(bool connected, const std::string& coordinator,
                                  const std::string& problem) {
  absl::MutexLock lock(&mu_);
  status_ = {connected, coordinator, problem};
}

}  // namespace meridian
