#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "server/app/node_parts.h"
#include "server/l2/redis_lease_store.h"
#include "server/membership/static_topology.h"
#include "server/node/hottest_keys.h"
#include "server/policy/redis_url.h"

namespace meridian {
namespace {

constexpr absl::Duration kLeaveTimeout = absl::Seconds(2);
// For others to take the slots, and what L1 has of them before.
constexpr absl::Duration kHandOverTimeout = absl::Seconds(8);
constexpr absl::Duration kSaveTimeout = absl::Seconds(2);
constexpr absl::Duration kQuiet = absl::Milliseconds(250);
constexpr absl::Duration kStoredInterval = absl::Milliseconds(50);

}  // namespace

// Before anybody can ask for what needs it.
void NodeParts::MakeMembership() {
  if (config.coordinators.empty()) return;
  coordinator_transport = std::make_unique<GrpcCoordinatorTransport>(security);
  CoordinatorClientOptions options;
  options.coordinators = config.coordinators;
  options.region = config.region;
  options.random_seed = RandomSeed();
  options.hot_keys = [this] { return HotKeysToReport(*namespaces, clock.Monotonic()); };
  options.accesses = accesses.get();
  options.policies = policy_follower.get();
  if (refill != nullptr) {
    options.planned = [this](const TopologyHolder::Snapshot& planned) {
      refill->Plan(planned, [this, planned](uint64_t taken) {
        if (taken > 0) spdlog::info("others have taken {} entries", taken);
        coordinator_client->SetHandedOff(planned->epoch());
      });
    };
  }
  coordinator_client = std::make_unique<CoordinatorClient>(std::move(options), clock, *housekeeping,
                                                           *coordinator_transport, topology);
  slots_gone = std::make_unique<SlotsGone>(topology, config.id);
  ticket = std::make_unique<RolloutTicket>(config.id, *coordinator_client, *coordinator_transport,
                                           clock, *housekeeping);
  drain = std::make_unique<NodeDrain>(config.id, *coordinator_client, *ticket, topology, clock,
                                      *housekeeping, [this] { return Unstored(); });
  ReportUpdates();
}

void NodeParts::ReportUpdates() {
  if (updates == nullptr) return;
  update_reporter =
      std::make_unique<UpdateReporter>(UpdateReporterOptions(), *coordinator_client,
                                       *coordinator_transport, *updates, *housekeeping);
  AddUpdateMetrics(*update_reporter, registry);
  update_reporter->Start();
}

size_t NodeParts::Unstored() const { return hints->Stats(clock.Monotonic()).entries; }

// While no coordinator answers, what they had decided counts more than this node's file.
absl::Status NodeParts::AskForStoredPolicies() {
  if (config.redis_url.empty()) return absl::OkStatus();
  RedisClientOptions options;
  ASSIGN_OR_RETURN(options.url, ParseRedisUrl(config.redis_url));
  options.connection.command_timeout = config.l2_timeout;
  if (options.url.tls) options.connection.connect_timeout = config.l2_timeout;
  ASSIGN_OR_RETURN(policy_memory,
                   RedisLeaseStore::Create(*loop, std::move(options), clock, nullptr));
  stored_policies = std::make_unique<StoredPolicies>(
      *policy_memory, *housekeeping, *policy_follower,
      [this] { background->Post([this] { policy_memory.reset(); }); });
  stored_policies->Start();
  return absl::OkStatus();
}

absl::Status NodeParts::Join() {
  if (config.coordinators.empty()) {
    std::vector<Member> members = config.static_peers;
    if (members.empty()) members = {member};
    for (Member& peer : members) {
      peer.state = MemberState::kServing;
      if (peer.id == config.id) {
        peer.admin_address = member.admin_address;
        peer.http_address = member.http_address;
      }
    }
    ASSIGN_OR_RETURN(Topology fixed, StaticTopology(config.region, std::move(members)));
    topology.Offer(std::move(fixed));
    return absl::OkStatus();
  }
  // It is cold until it has slots and knows better.
  if (warm_readiness != nullptr) coordinator_client->SetWarmth(0);
  RETURN_IF_ERROR(AskForStoredPolicies());
  coordinator_client->Start(member);
  return absl::OkStatus();
}

std::function<void()> NodeParts::Drain(absl::Duration timeout,
                                       std::function<void(absl::Status)> done) {
  if (drain == nullptr) {
    done(absl::FailedPreconditionError(
        "NO_COORDINATOR: the members of this cluster are a fixed list (--peers); a node that "
        "leaves is started out of it"));
    return [] {};
  }
  return drain->Start(timeout, [this, done = std::move(done)](absl::Status status) {
    const bool gone = status.ok();
    done(std::move(status));
    if (gone) end_process();
  });
}

void NodeParts::AwaitTicket(absl::Duration until) {
  const absl::Duration wait = std::min(config.rollout_wait, until - clock.Monotonic());
  if (ticket == nullptr || wait <= absl::ZeroDuration() ||
      topology.Get()->SlotsOf(config.id).empty()) {
    return;
  }
  struct Answer {
    absl::Notification given;
    std::string why;
  };
  auto answer = std::make_shared<Answer>();  // It may come after this function.
  ticket->Await(
      wait, [] { return true; },
      [answer](std::string why) {
        answer->why = std::move(why);
        answer->given.Notify();
      });
  const bool given = answer->given.WaitForNotificationWithTimeout(wait + kLeaveTimeout);
  if (given && answer->why.empty()) return;
  spdlog::warn("stopping although it is not this node's turn: {}",
               given ? answer->why : "the coordinator does not answer");
}

// Whoever owns the slots next finds in Redis what these writes have replaced or deleted.
void NodeParts::AwaitStored(absl::Duration until) {
  if (hints == nullptr || hints->empty()) return;
  spdlog::warn("{} writes that were accepted without Redis wait for it; waiting for at most {}",
               Unstored(), absl::FormatDuration(until - clock.Monotonic()));
  while (!hints->empty() && clock.Monotonic() < until) absl::SleepFor(kStoredInterval);
}

// The next owners read it, also when nobody hands anything over to them.
void NodeParts::SaveHeat() {
  if (refill == nullptr || !refill->owns_slots()) return;
  auto saved = std::make_shared<absl::Notification>();  // It may come after this function.
  refill->SaveHeat([saved] { saved->Notify(); });
  saved->WaitForNotificationWithTimeout(kSaveTimeout);
}

void NodeParts::Leave() {
  SaveHeat();
  if (coordinator_client == nullptr) return;
  if (coordinator_client->status().connected) {
    // It may come after this function.
    auto left = std::make_shared<absl::Notification>();
    coordinator_client->SetState(MemberState::kDraining);
    slots_gone->Await([left] { left->Notify(); });
    left->WaitForNotificationWithTimeout(kHandOverTimeout);
  }
  auto stopped = std::make_shared<absl::Notification>();
  coordinator_client->Stop([stopped] { stopped->Notify(); });
  stopped->WaitForNotificationWithTimeout(kLeaveTimeout);
}

// A call that a server receives while it shuts down fails, so it shuts down when nobody calls.
// Those who do need a moment to hear of the topology in which this node owns nothing; until then it
// forwards.
void NodeParts::AwaitQuiet() const {
  const TopologyHolder::Snapshot now = topology.Get();
  const bool others_have_them =
      now->OwnerIndex(0) != Topology::kNoOwner && now->SlotsOf(config.id).empty();
  if (coordinator_client == nullptr || !others_have_them) return;
  const auto calls = [this] { return rpc_metrics->calls() + peer_service->batches(); };
  const absl::Duration until = clock.Monotonic() + config.drain_delay;
  for (uint64_t before = calls(); clock.Monotonic() < until; before = calls()) {
    absl::SleepFor(kQuiet);
    if (calls() == before) return;
  }
}

}  // namespace meridian
