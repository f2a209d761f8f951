#include "server/coordinator/prediction_lead.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/coordinator/prediction_calls.h"
#include "server/coordinator/warming_lead.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"
#include "tests/support/fake_warm_reader.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// A coordinator process that predicts.
struct Process {
  Process(FakeClock& clock, FakeLeaseStore& store, const std::string& name, bool enabled)
      : executor(clock), view(store.ViewFor(executor)) {
    CoordinatorOptions options;
    options.id = name;
    options.membership.region = "us";
    options.lease.holder = name;
    coordinator = std::make_unique<Coordinator>(options, clock, executor, *view);
    WarmerOptions warmer_options;
    warmer_options.lease = options.lease.name;
    warmer =
        std::make_unique<Warmer>(warmer_options, WarmSettings(), clock, executor, *view, reader,
                                 metrics, [this] { return coordinator->leader().leading; });
    warming = std::make_unique<WarmingLead>(*coordinator, *warmer);
    history = std::make_unique<HotKeyHistory>(options.lease.name, *view, executor, clock,
                                              [] { return std::vector<HotKey>(); });
    prediction = std::make_unique<PredictionLead>(PredictionOptions{.enabled = enabled},
                                                  *coordinator, *view, *history, *warmer);
    coordinator->Start(name + ":7410");
  }

  FakeExecutor executor;
  std::unique_ptr<FakeLeaseStore::View> view;
  FakeWarmReader reader;
  MetricRegistry registry;
  WarmMetrics metrics{registry};
  std::unique_ptr<Coordinator> coordinator;
  std::unique_ptr<Warmer> warmer;
  std::unique_ptr<WarmingLead> warming;
  std::unique_ptr<HotKeyHistory> history;
  std::unique_ptr<PredictionLead> prediction;
};

class PredictionLeadTest : public ::testing::Test {
 protected:
  void RunFor(absl::Duration duration, Process& process) {
    for (absl::Duration passed; passed < duration; passed += absl::Milliseconds(50)) {
      clock_.Advance(absl::Milliseconds(50));
      process.executor.RunDue();
      process.warmer->SetNodes({"node-1:7400"});
    }
  }
  // One caller's reads, a second and a half apart.
  void Ask(Process& process, const std::vector<std::string>& keys) {
    ++caller_;
    std::vector<SampledAccess> accesses;
    for (size_t i = 0; i < keys.size(); ++i) {
      accesses.push_back({"task", keys[i], caller_,
                          clock_.Monotonic() - (keys.size() - i) * absl::Milliseconds(1500)});
    }
    process.prediction->Report(std::move(accesses));
    RunFor(absl::Seconds(2), process);
  }
  static std::vector<std::string> Warmed(const Process& process) {
    std::vector<std::string> keys;
    for (const auto& [key, times] : process.reader.warmed()) keys.push_back(key);
    return keys;
  }

  FakeClock clock_;
  FakeLeaseStore store_{clock_};
  uint64_t caller_ = 0;
};

TEST_F(PredictionLeadTest, WhatIsExpectedIsReadAndTheNextLeaderKnowsAsMuch) {
  auto first = std::make_unique<Process>(clock_, store_, "a", true);
  RunFor(absl::Seconds(3), *first);
  for (int i = 0; i < 10; ++i) Ask(*first, {"task:1", "project:1"});
  RunFor(absl::Minutes(2), *first);
  first->reader.Forget();
  Ask(*first, {"task:1"});
  EXPECT_THAT(Warmed(*first), UnorderedElementsAre("project:1"));
  EXPECT_GE(first->prediction->counters().queued, 1u);
  EXPECT_EQ(first->prediction->counters().accesses, 21u);
  const auto explanation = first->prediction->Explain("task", "project:1");
  ASSERT_TRUE(explanation.ok());
  EXPECT_GE(explanation->confidence, explanation->threshold);
  EXPECT_THAT(explanation->signals, Not(IsEmpty()));
  // It dies; its lease runs out.
  RunFor(absl::Minutes(2), *first);
  first->view->SetReachable(false);
  Process next(clock_, store_, "b", true);
  RunFor(absl::Seconds(30), next);
  ASSERT_TRUE(next.coordinator->leader().leading);
  EXPECT_GE(next.prediction->counters().keys, 2u);
  Ask(next, {"task:1"});
  EXPECT_THAT(Warmed(next), UnorderedElementsAre("project:1"));
}

TEST_F(PredictionLeadTest, TenThousandKeysAndTheirPairsSurviveAChangeOfLeader) {
  auto first = std::make_unique<Process>(clock_, store_, "a", true);
  RunFor(absl::Seconds(3), *first);
  for (uint64_t group = 0; group < 5; ++group) {
    std::vector<SampledAccess> accesses;
    for (uint64_t i = 0; i < 10'000; ++i) {
      accesses.push_back({"task", absl::StrCat("a long name of a key, number ", i), 1 + i / 2,
                          clock_.Monotonic() - absl::Milliseconds(1500) * (1 - i % 2)});
    }
    first->prediction->Report(std::move(accesses));
    RunFor(absl::Minutes(2), *first);
  }
  EXPECT_EQ(first->prediction->counters().keys, 10'000u);
  RunFor(absl::Minutes(3), *first);
  ASSERT_TRUE(store_.Value("warm/prediction/1").has_value());
  EXPECT_LE(store_.Value("warm/prediction")->size(), size_t{66} << 10);
  first->view->SetReachable(false);
  Process next(clock_, store_, "b", true);
  RunFor(absl::Seconds(30), next);
  ASSERT_TRUE(next.coordinator->leader().leading);
  EXPECT_EQ(next.prediction->counters().keys, 10'000u);
  next.prediction->Report({{"task", "a long name of a key, number 9998", 1, clock_.Monotonic()}});
  RunFor(absl::Seconds(2), next);
  EXPECT_THAT(Warmed(next), Contains("a long name of a key, number 9999"));
}

TEST_F(PredictionLeadTest, WhatIsLessThanBeforeLeavesNoPartsBehind) {
  store_.SetValue("warm/prediction", "parts\t3\n");
  store_.SetValue("warm/prediction/1", "task\tYg==\t5\n");
  store_.SetValue("warm/prediction/2", "task\tYw==\t5\n");
  Process process(clock_, store_, "a", true);
  RunFor(absl::Seconds(3), process);
  EXPECT_EQ(process.prediction->counters().keys, 2u);
  Ask(process, {"x"});
  RunFor(absl::Minutes(2), process);
  EXPECT_FALSE(store_.Value("warm/prediction/1").has_value());
  EXPECT_FALSE(store_.Value("warm/prediction/2").has_value());
  EXPECT_THAT(*store_.Value("warm/prediction"), StartsWith("parts\t1\n"));
}

TEST_F(PredictionLeadTest, ReadsOfOneCallerThatSeveralNodesReportAreInOrder) {
  Process process(clock_, store_, "a", true);
  RunFor(absl::Seconds(3), process);
  for (uint64_t caller = 100; caller < 110; ++caller) {
    const absl::Duration now = clock_.Monotonic();
    // The node that was asked second tells first.
    process.prediction->Report({{"task", "second", caller, now - absl::Milliseconds(100)}});
    process.prediction->Report({{"task", "first", caller, now - absl::Milliseconds(1600)}});
    RunFor(absl::Seconds(2), process);
  }
  RunFor(absl::Minutes(2), process);
  process.reader.Forget();
  Ask(process, {"first"});
  EXPECT_THAT(Warmed(process), UnorderedElementsAre("second"));
}

TEST_F(PredictionLeadTest, OffItLearnsNothingAndSaysSo) {
  Process process(clock_, store_, "a", false);
  RunFor(absl::Seconds(3), process);
  for (int i = 0; i < 10; ++i) Ask(process, {"task:1", "project:1"});
  EXPECT_THAT(Warmed(process), IsEmpty());
  EXPECT_EQ(process.prediction->counters().accesses, 0u);
  EXPECT_EQ(process.prediction->Explain("task", "k").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(AccessReportTest, WhatIsNotValidIsLeftOutAndTheLastThousandAreTaken) {
  coordinator::v1::AccessReport report;
  for (int i = 0; i < 1500; ++i) {
    coordinator::v1::Access* access = report.add_accesses();
    access->set_namespace_(i == 1499 ? "NOT VALID" : "task");
    access->set_key(i == 1498 ? "" : absl::StrCat(i));
    access->set_caller(i == 1497 ? 0 : 7);
    access->set_age_ms(1500);
  }
  const std::vector<SampledAccess> taken = FromProto(report, absl::Seconds(10));
  ASSERT_EQ(taken.size(), 997u);
  EXPECT_EQ(taken.front().key, "500");
  EXPECT_EQ(taken.front().at, absl::Milliseconds(8500));
}

}  // namespace
}  // namespace meridian
