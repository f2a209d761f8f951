#include "server/coordinator/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/topology_proto.h"
#include "meridian/cache/v1/types.pb.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr absl::Duration kStoreRetry = absl::Milliseconds(200);

absl::Status NotLeaderStatus() {
  return absl::UnavailableError("NOT_LEADER: this coordinator does not lead its region");
}

// The members count; owners are computed again, so that a release with another slot function can
// follow this one.
absl::StatusOr<Topology> ParseStored(const std::optional<std::string>& value) {
  if (!value.has_value()) return Topology();
  cache::v1::Topology proto;
  if (!proto.ParseFromString(*value)) {
    return absl::DataLossError("the stored topology is not a meridian.cache.v1.Topology");
  }
  proto.clear_slot_owners();
  return FromProto(proto);
}

}  // namespace

Coordinator::Coordinator(CoordinatorOptions options, const Clock& clock, Executor& executor,
                         LeaseStore& store)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      store_(store),
      lease_(options_.lease, clock, executor, store,
             {[this](uint64_t token) { HandleElected(token); },
              [this](const std::string& why) { HandleLost(why); },
              [] {
                spdlog::warn(
                    "the store had lost its data (emptied, or failed over to a replica without "
                    "them); what this coordinator knows is written again");
              }}) {}

void Coordinator::Start(std::string address, std::string http_address) {
  lease_.Start(std::move(address), std::move(http_address));
}

void Coordinator::Stop(std::function<void()> done) { lease_.Stop(std::move(done)); }

LeaderView Coordinator::leader() const {
  LeaderView view = lease_.view();
  if (view.leading && !ready_.load()) {
    view.leading = false;
    view.address.clear();
    view.http_address.clear();
  }
  return view;
}

CoordinatorCounters Coordinator::counters() const {
  const auto nodes = [this](MemberState state) {
    return nodes_by_state_[static_cast<size_t>(state)].load(std::memory_order_relaxed);
  };
  return {leader().leading,
          topology()->epoch(),
          heartbeats_.load(std::memory_order_relaxed),
          nodes(MemberState::kJoining),
          nodes(MemberState::kServing),
          nodes(MemberState::kDraining),
          hand_offs_.load(std::memory_order_relaxed),
          late_hand_offs_.load(std::memory_order_relaxed)};
}

void Coordinator::HandleElected(uint64_t token) {
  spdlog::info("coordinator {} leads region {}, token {}", options_.id, options_.membership.region,
               token);
  token_ = token;
  LoadTopology();
}

void Coordinator::HandleLost(const std::string& why) {
  spdlog::warn("coordinator {} does not lead any more: {}", options_.id, why);
  token_ = 0;
  ready_ = false;
  membership_.reset();
  planned_.reset();
  pending_.reset();
  policies_.reset();
  storing_ = false;
  ++tick_generation_;
  tick_at_ = absl::InfiniteDuration();
  for (auto& count : nodes_by_state_) count.store(0, std::memory_order_relaxed);
  const std::set<Subscriber*> subscribers = subscribers_;
  for (Subscriber* subscriber : subscribers) {
    if (subscribers_.count(subscriber) > 0) subscriber->OnLeadershipLost();
  }
}

bool Coordinator::IsActing(uint64_t token) const {
  return token_ != 0 && token == token_ && lease_.is_leader();
}

void Coordinator::LoadTopology() {
  store_.GetValue(options_.topology_key, [this, executor = &executor_, token = token_](
                                             absl::StatusOr<std::optional<std::string>> value) {
    executor->Post([this, token, value = std::move(value)] { HandleLoaded(token, value); });
  });
}

void Coordinator::HandleLoaded(uint64_t token,
                               const absl::StatusOr<std::optional<std::string>>& value) {
  if (!IsActing(token) || membership_.has_value()) return;
  if (!value.ok()) {
    spdlog::warn("cannot read the stored topology: {}", value.status().ToString());
    executor_.PostAfter(kStoreRetry, [this, token] {
      if (IsActing(token) && !membership_.has_value()) LoadTopology();
    });
    return;
  }
  absl::StatusOr<Topology> stored = ParseStored(*value);
  if (!stored.ok()) {
    // The nodes know their epoch and will register: nothing is lost but a few seconds.
    spdlog::error("ignoring the stored topology: {}", stored.status().ToString());
    stored = Topology();
  }
  membership_.emplace(options_.membership);
  membership_->Restore(*stored, clock_.Monotonic());
  // The predecessor published it, or was about to: what is asked for before our first own one.
  holder_.Offer(*stored);
  spdlog::info("continuing from epoch {} with {} members", stored->epoch(),
               stored->members().size());
  ready_ = true;
  const std::set<Subscriber*> subscribers = subscribers_;
  for (Subscriber* subscriber : subscribers) {
    if (subscribers_.count(subscriber) > 0) subscriber->OnLeading(token);
  }
  Tick();
}

absl::Status Coordinator::Register(const NodeReport& report, uint64_t session) {
  if (!leader().leading || !membership_.has_value()) return NotLeaderStatus();
  const absl::Status status = membership_->Register(report, session, clock_.Monotonic());
  if (status.ok()) {
    heartbeats_.fetch_add(1, std::memory_order_relaxed);
  } else {
    spdlog::warn("refusing a node: {}", status.ToString());
  }
  ScheduleTick();
  return status;
}

absl::Status Coordinator::Heartbeat(const NodeReport& report) {
  if (!leader().leading || !membership_.has_value()) return NotLeaderStatus();
  const absl::Status status = membership_->Heartbeat(report, clock_.Monotonic());
  if (status.ok()) heartbeats_.fetch_add(1, std::memory_order_relaxed);
  ScheduleTick();
  return status;
}

void Coordinator::NodeSaid(const std::string& id, absl::Time its_time) {
  if (CheckName(id).ok()) lease_.NodeSaid(id, its_time);
}

void Coordinator::RefuseClock(const std::string& id, const std::string& problem) {
  if (!CheckName(id).ok()) return;
  const std::set<Subscriber*> subscribers = subscribers_;
  for (Subscriber* subscriber : subscribers) {
    if (subscribers_.count(subscriber) > 0) subscriber->OnClockRefused(id, problem);
  }
}

void Coordinator::Disconnect(const std::string& id, uint64_t session) {
  if (!membership_.has_value()) return;
  membership_->Disconnect(id, session, clock_.Monotonic());
  TellLeft();
  ScheduleTick();
}

std::vector<NodeView> Coordinator::Nodes() const {
  return membership_.has_value() ? membership_->Nodes(clock_.Monotonic()) : std::vector<NodeView>();
}

void Coordinator::ScheduleTick() {
  if (!membership_.has_value()) return;
  const absl::Duration now = clock_.Monotonic();
  const absl::Duration due =
      std::clamp(membership_->NextDue(), now, now + options_.membership.heartbeat_interval);
  if (due >= tick_at_) return;
  tick_at_ = due;
  executor_.PostAfter(due - now, [this, generation = ++tick_generation_] {
    if (generation == tick_generation_) Tick();
  });
}

void Coordinator::Tick() {
  if (!membership_.has_value()) return;
  tick_at_ = absl::InfiniteDuration();
  if (std::optional<Topology> next = membership_->Tick(clock_.Monotonic()); next.has_value()) {
    pending_ = std::move(next);
  }
  LogEvents();
  TellLeft();
  uint64_t counts[4] = {};
  for (const NodeView& node : membership_->Nodes(clock_.Monotonic())) {
    ++counts[static_cast<size_t>(node.member.state) & 3];
  }
  for (size_t i = 0; i < 4; ++i) nodes_by_state_[i].store(counts[i], std::memory_order_relaxed);
  hand_offs_.store(membership_->hand_offs(), std::memory_order_relaxed);
  late_hand_offs_.store(membership_->late_hand_offs(), std::memory_order_relaxed);
  TellPlanned();
  StorePending();
  ScheduleTick();
}

void Coordinator::TellPlanned() {
  const Topology* const plan = membership_->planned();
  if (plan == nullptr) return planned_.reset();
  if (planned_ != nullptr && planned_->epoch() == plan->epoch()) return;
  planned_ = std::make_shared<const Topology>(*plan);
  const std::set<Subscriber*> subscribers = subscribers_;
  for (Subscriber* subscriber : subscribers) {
    if (subscribers_.count(subscriber) > 0) subscriber->OnPlanned();
  }
}

// Before anybody can see that the node is missing.
void Coordinator::TellLeft() {
  for (const std::string& node : membership_->TakeLeft()) {
    const std::set<Subscriber*> subscribers = subscribers_;
    for (Subscriber* subscriber : subscribers) {
      if (subscribers_.count(subscriber) > 0) subscriber->OnLeft(node);
    }
  }
}

void Coordinator::StorePending() {
  if (storing_ || !pending_.has_value() || !IsActing(token_)) return;
  storing_ = true;
  cache::v1::Topology proto;
  ToProto(*pending_, &proto);
  store_.PutFenced(
      options_.lease.name, token_, options_.topology_key, proto.SerializeAsString(),
      [this, executor = &executor_, token = token_, topology = *pending_](absl::Status status) {
        executor->Post([this, token, topology, status] { HandleStored(token, topology, status); });
      });
}

void Coordinator::HandleStored(uint64_t token, const Topology& topology,
                               const absl::Status& status) {
  if (token != token_) return;  // Of an earlier leadership.
  storing_ = false;
  if (absl::IsFailedPrecondition(status)) {
    return NoteFenced("the topology");
  }
  if (!IsActing(token)) return;
  if (!status.ok()) {
    spdlog::warn("cannot store epoch {}: {}", topology.epoch(), status.ToString());
    executor_.PostAfter(kStoreRetry, [this, token] {
      if (IsActing(token)) StorePending();
    });
    return;
  }
  if (pending_.has_value() && pending_->epoch() == topology.epoch()) pending_.reset();
  if (holder_.Offer(topology)) {
    spdlog::info("epoch {}: {} members", topology.epoch(), topology.members().size());
    const TopologyHolder::Snapshot snapshot = holder_.Get();
    const std::set<Subscriber*> subscribers = subscribers_;
    for (Subscriber* subscriber : subscribers) {
      if (subscribers_.count(subscriber) > 0) subscriber->OnTopology(snapshot);
    }
  }
  StorePending();
}

void Coordinator::PublishPolicies(Policies policies) {
  policies_ = std::move(policies);
  const std::set<Subscriber*> subscribers = subscribers_;
  for (Subscriber* subscriber : subscribers) {
    if (subscribers_.count(subscriber) > 0) subscriber->OnPolicies(policies_);
  }
}

void Coordinator::LogEvents() {
  for (const std::string& event : membership_->TakeEvents()) spdlog::info("{}", event);
}

}  // namespace meridian
