// What the tests of Warmer share: coordinators that follow each other on one store, in time that
// passes when the test says so.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_WARMING_WARMER_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_WARMING_WARMER_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/warming/warmer.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/support/fake_warm_reader.h"

namespace meridian {

// One coordinator process with an executor of its own, so that it can be paused alone.
struct Process {
  Process(FakeClock& process_clock, FakeLeaseStore& store, const std::string& process_name,
          WarmerOptions options, WarmSettings settings)
      : name(process_name),
        clock(process_clock),
        executor(process_clock),
        view(store.ViewFor(executor)),
        warmer(options, std::move(settings), process_clock, executor, *view, reader, metrics,
               [this] { return leads; }) {}

  // As LeaderLease does when it is elected. The lease lasts for the test.
  void Lead() {
    view->TryAcquire("coordinator", {name, name}, absl::Hours(24), [this](const auto& state) {
      ASSERT_TRUE(state.ok() && state->held);
      leads = true;
      warmer.SetNodes({"node-1:7400", "node-2:7400"});
      warmer.Lead(state->token);
    });
    executor.RunDue();
  }
  // As kill -9: nothing more is done; its lease has run out.
  void Die() {
    view->Release("coordinator", name, [](const absl::Status&) {});
    view->SetReachable(false);
    leads = false;
    warmer.StepDown();
  }

  absl::StatusOr<WarmJob> Ask(const WarmRequest& request) {
    std::optional<absl::StatusOr<WarmJob>> answer;
    warmer.Run(request, [&](const absl::StatusOr<WarmJob>& job) { answer = job; });
    executor.RunDue();
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(absl::InternalError("no answer"));
  }
  absl::StatusOr<WarmJob> Run(std::vector<std::string> keys, int32_t priority = 0,
                              const std::string& name_space = "task") {
    return Ask(WarmRequest{"", name_space, std::move(keys), priority});
  }
  absl::Status Control(const std::string& id, WarmAction action) {
    absl::Status status = absl::InternalError("no answer");
    warmer.Control(id, action, [&](const absl::StatusOr<WarmJob>& job) { status = job.status(); });
    executor.RunDue();
    return status;
  }
  std::vector<WarmJob> AllJobs() {
    const absl::StatusOr<std::vector<WarmJob>> jobs = warmer.List();
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    return jobs.value_or(std::vector<WarmJob>());
  }
  WarmJob Job(const std::string& id) {
    for (const WarmJob& job : AllJobs()) {
      if (job.id == id) return job;
    }
    ADD_FAILURE() << "no job " << id;
    return WarmJob();
  }

  const std::string name;
  FakeClock& clock;
  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  bool leads = false;
  MetricRegistry registry;
  WarmMetrics metrics{registry};
  FakeWarmReader reader;
  Warmer warmer;
};

class WarmerTest : public ::testing::Test {
 protected:
  Process& NewProcess() {
    processes_.push_back(std::make_unique<Process>(
        clock_, store_, absl::StrCat("c", processes_.size() + 1), options_, settings_));
    return *processes_.back();
  }
  Process& NewLeader() {
    Process& process = NewProcess();
    process.Lead();
    return process;
  }
  void AddSchedule(const std::string& fields) {
    const absl::Status status = settings_.ReadFile(
        "f.yaml", absl::StrCat("schedules: {tick: {namespace: task, keys: [a, b], ", fields, "}}"));
    ASSERT_TRUE(status.ok()) << status;
  }
  // Time passes for the processes that live.
  void RunFor(absl::Duration duration, std::vector<Process*> processes) {
    const absl::Duration step = absl::Milliseconds(50);
    for (absl::Duration passed; passed < duration; passed += step) {
      clock_.Advance(step);
      for (Process* process : processes) process->executor.RunDue();
    }
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  WarmerOptions options_;
  WarmSettings settings_;
  std::vector<std::unique_ptr<Process>> processes_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_WARMING_WARMER_FIXTURE_H_
