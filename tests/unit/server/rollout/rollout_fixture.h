// Coordinators of a region that roll policies out, one fake store, one node, fake time.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_ROLLOUT_ROLLOUT_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_ROLLOUT_ROLLOUT_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/rollout/policy_rollouts.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {

inline constexpr char kFirst[] = "namespaces: {task: {ttl: 5m}}";
inline constexpr char kSecond[] = "namespaces: {task: {ttl: 1s}}";
inline constexpr absl::Duration kHold = absl::Minutes(10);
inline constexpr absl::Duration kLook = absl::Seconds(10);

// One coordinator of the region.
struct RolloutProcess {
  RolloutProcess(FakeClock& clock, FakeLeaseStore& store, VersionFigures& figures, bool& known,
                 std::string process_name)
      : name(std::move(process_name)), executor(clock), view(store.ViewFor(executor)) {
    PolicyRolloutsOptions options;
    options.plan.set_hold_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(kHold)));
    rollouts = std::make_unique<PolicyRollouts>(
        options, clock, executor, *view,
        [&figures, &known] { return known ? std::optional(figures) : std::nullopt; },
        PolicyRollouts::Hooks{[this](const PolicyRollouts::Assignment& assignment) {
                                assigned.push_back(assignment);
                              },
                              [](const std::string&) {},
                              [](const coordinator::v1::Rollout&, const auto&) {}});
    rollouts->SetNodes({"n1"});
  }
  void Lead() {
    Acquire();
    Follow();
  }
  // Leads, and has heard of no node yet. `known_token`: what it is to lead by; 0: the store's next.
  void Acquire(uint64_t known_token = 0) {
    LeaseBid bid = {.holder = name, .address = name, .known_token = known_token};
    if (known_token > 0) bid.claim = LeaseClaim::kLeads;
    view->TryAcquire("coordinator", bid, absl::Hours(10'000), [this](const auto& state) {
      ASSERT_TRUE(state.ok() && state->held);
      rollouts->Lead(state->token);
    });
    executor.RunDue();
  }
  // As kill -9, and the end of its lease.
  void Die() {
    view->Release("coordinator", name, [](const absl::Status&) {});
    rollouts->StepDown();
    executor.RunDue();
  }
  // The node uses what it is told to.
  void Follow(uint64_t at_least = 0) {
    coordinator::v1::PolicyReport report;
    report.set_revision(assigned.empty() ? 0 : assigned.back()->revision());
    if (at_least > report.revision()) report.set_revision(at_least);
    rollouts->Report("n1", report);
    executor.RunDue();
  }
  absl::StatusOr<coordinator::v1::ApplyPolicyResponse> Apply(
      const coordinator::v1::ApplyPolicyRequest& request) {
    auto answer = ApplyUnheard(request);
    Follow();
    return answer;
  }
  // The nodes say nothing afterwards.
  absl::StatusOr<coordinator::v1::ApplyPolicyResponse> ApplyUnheard(
      const coordinator::v1::ApplyPolicyRequest& request) {
    absl::StatusOr<coordinator::v1::ApplyPolicyResponse> answer =
        absl::UnknownError("not answered");
    rollouts->Apply(request, [&](auto response) { answer = std::move(response); });
    executor.RunDue();
    return answer;
  }
  absl::StatusOr<coordinator::v1::ApplyPolicyResponse> Apply(const std::string& yaml) {
    coordinator::v1::ApplyPolicyRequest request;
    request.set_yaml(yaml);
    return Apply(request);
  }
  absl::StatusOr<coordinator::v1::Rollout> Control(uint64_t version, bool promote,
                                                   uint32_t expected_percent = 0) {
    absl::StatusOr<coordinator::v1::Rollout> answer = absl::UnknownError("not answered");
    rollouts->Control(version,
                      promote ? coordinator::v1::ROLLOUT_ACTION_PROMOTE
                              : coordinator::v1::ROLLOUT_ACTION_ROLL_BACK,
                      expected_percent, [&](auto response) { answer = std::move(response); });
    executor.RunDue();
    Follow();
    return answer;
  }
  absl::StatusOr<coordinator::v1::GetPolicyResponse> Get(uint64_t version) {
    absl::StatusOr<coordinator::v1::GetPolicyResponse> answer = absl::UnknownError("not answered");
    rollouts->Get(version, [&](auto response) { answer = std::move(response); });
    executor.RunDue();
    return answer;
  }
  coordinator::v1::Rollout Newest() { return rollouts->List()->at(0); }
  // "applied 10 operator".
  std::vector<std::string> Events(uint64_t version) {
    std::vector<std::string> events;
    const absl::StatusOr<std::vector<coordinator::v1::Rollout>> all = rollouts->List();
    for (const coordinator::v1::Rollout& rollout : *all) {
      if (rollout.policy_version() != version) continue;
      for (const auto& event : rollout.events()) {
        events.push_back(absl::StrCat(event.what(), " ", event.percent(), " ", event.by()));
      }
    }
    return events;
  }

  const std::string name;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  std::vector<PolicyRollouts::Assignment> assigned;
  std::unique_ptr<PolicyRollouts> rollouts;
};

class RolloutFixture : public testing::Test {
 protected:
  std::unique_ptr<RolloutProcess> Start(const std::string& name) {
    auto process = std::make_unique<RolloutProcess>(clock_, store_, figures_, known_, name);
    process->Lead();
    return process;
  }
  // Version 1 is in all slots, as in clusters that have used this before.
  std::unique_ptr<RolloutProcess> StartWithFirst() {
    auto process = Start("c1");
    EXPECT_TRUE(process->Apply(kFirst).ok());
    for (int stage = 0; stage < 3; ++stage) EXPECT_TRUE(process->Control(1, true).ok());
    return process;
  }
  void Count(uint64_t version, uint64_t hits, uint64_t misses) {
    VersionReads reads;
    reads.hits = hits;
    reads.misses = misses;
    reads.latency = {hits + misses};
    figures_.table[{"task", version}] += reads;
  }
  // Time passes, with reads in both parts; the guards look.
  void Pass(RolloutProcess& process, absl::Duration time, double trial_hit_rate = 0.95) {
    for (absl::Duration passed; passed < time; passed += kLook) {
      if (process.Newest().percent() < 100) Count(1, 9500, 500);
      const auto hits = static_cast<uint64_t>(2000 * trial_hit_rate);
      Count(2, hits, 2000 - hits);
      process.executor.RunFor(kLook);
      process.Follow();
    }
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  VersionFigures figures_{.latency_bounds = {0.001}, .table = {}};
  bool known_ = true;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_ROLLOUT_ROLLOUT_FIXTURE_H_
