#include "server/origin/origin_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/policy/policy_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using Strings = std::vector<std::string>;

// Calls that wait until the test answers them.
class FakeOriginTransport final : public OriginTransport {
 public:
  struct Call {
    OriginTarget target;
    origin::v1::BatchLoadRequest request;
    absl::Time deadline;
    Callback callback;
    Strings keys() const { return {request.keys().begin(), request.keys().end()}; }
  };
  void BatchLoad(const OriginTarget& target, origin::v1::BatchLoadRequest request,
                 absl::Time deadline, Callback callback) override {
    calls.push_back({target, std::move(request), deadline, std::move(callback)});
  }
  // Answers the oldest call: "v:" + key for each key, or the status.
  void Answer(absl::Status status = absl::OkStatus(), AnswerFault fault = AnswerFault::kNone) {
    Call call = std::move(calls.front());
    calls.pop_front();
    OriginReply reply{std::move(status), fault, {}};
    for (const std::string& key : call.request.keys()) {
      auto* result = reply.response.add_results();
      result->set_key(key);
      result->set_status(origin::v1::LOAD_STATUS_FOUND);
      result->set_value("v:" + key);
    }
    call.callback(std::move(reply));
  }
  void AnswerTooMuch() {
    Answer(absl::ResourceExhaustedError("larger than max"), AnswerFault::kTooLarge);
  }
  std::deque<Call> calls;
};

class OriginLoaderTest : public testing::Test, public OriginSink {
 protected:
  void SetUp() override { SetPolicy("batch_window: 0"); }

  void SetPolicy(const std::string& fields) {
    PolicyTable table;
    const absl::Status read =
        table.ReadText("p", absl::StrCat("task: {origin: {address: \"db:1\", ", fields, "}}"));
    ASSERT_TRUE(read.ok()) << read;
    policies_.push_back(std::make_unique<NamespacePolicy>(table.Of("task")));
  }
  void Load(const Strings& keys) {
    std::vector<OriginKey> load;
    for (const std::string& key : keys) {
      load.push_back({key, "request", std::make_shared<std::string>(key)});
    }
    loader_.Load(name_space_, *policies_.back(), std::move(load), *this);
  }
  void OnLoaded(std::vector<OriginAnswer> answers) override {
    for (const OriginAnswer& answer : answers) {
      shown_.push_back(absl::StrCat(
          *std::static_pointer_cast<std::string>(answer.ticket), "=",
          answer.outcome == LoadOutcome::kFound ? answer.value : answer.error->reason));
    }
  }
  Strings Taken() { return std::exchange(shown_, {}); }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  TimerQueue timers_{clock_, executor_};
  FakeOriginTransport transport_;
  std::vector<std::unique_ptr<NamespacePolicy>> policies_;
  const SlotPolicies slot_policies_{VersionedPolicy{std::make_shared<const NamespacePolicy>()}};
  const Namespace name_space_{"task", 1, slot_policies_, nullptr, nullptr};
  OriginLoader loader_{transport_, clock_, timers_, nullptr};
  Strings shown_;
};

TEST_F(OriginLoaderTest, KeysThatAreMissingTogetherAreLoadedTogether) {
  SetPolicy("batch_window: 2ms, batch_size: 3");
  Load({"a"});
  executor_.RunFor(absl::Milliseconds(1));
  Load({"b"});
  EXPECT_THAT(transport_.calls, SizeIs(0));
  executor_.RunFor(absl::Milliseconds(1));
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("a", "b"));
  EXPECT_EQ(transport_.calls[0].request.namespace_(), "task");
  EXPECT_EQ(transport_.calls[0].request.request_id(), "request");
  EXPECT_EQ(transport_.calls[0].target.address, "db:1");
  Load({"c", "d", "e", "f"});
  ASSERT_THAT(transport_.calls, SizeIs(2)) << "a full batch does not wait";
  EXPECT_THAT(transport_.calls[1].keys(), ElementsAre("c", "d", "e"));
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("a=v:a", "b=v:b"));
  EXPECT_EQ(name_space_.counters.origin.loads, 2);
  EXPECT_EQ(name_space_.counters.origin.found, 2);
}

TEST_F(OriginLoaderTest, OnlySoManyCallsAreUnderWayAndWhatWaitsGoesTogether) {
  SetPolicy("batch_window: 0, concurrency: 2");
  for (const char* key : {"a", "b", "c", "d", "e"}) Load({key});
  ASSERT_THAT(transport_.calls, SizeIs(2));
  EXPECT_EQ(loader_.States()[0].waiting, 3);
  transport_.Answer();
  ASSERT_THAT(transport_.calls, SizeIs(2));
  EXPECT_THAT(transport_.calls[1].keys(), ElementsAre("c", "d", "e"));
}

TEST_F(OriginLoaderTest, AKeyThatWaitsTooLongHasItsTimeout) {
  SetPolicy("batch_window: 0, concurrency: 1, timeout: 100ms");
  Load({"a"});
  executor_.RunFor(absl::Milliseconds(40));
  Load({"b"});
  EXPECT_EQ(transport_.calls[0].deadline, clock_.Now() + absl::Milliseconds(60));
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_THAT(Taken(), ElementsAre("a=ORIGIN_TIMEOUT", "b=ORIGIN_TIMEOUT"));
  transport_.Answer(absl::DeadlineExceededError("late"));
  EXPECT_THAT(Taken(), SizeIs(0)) << "nobody waits for it any more";
  EXPECT_EQ(name_space_.counters.origin.timeouts, 2);
}

TEST_F(OriginLoaderTest, ACallThatWasNotTakenIsMadeAgainWithinItsTime) {
  SetPolicy("batch_window: 0, retries: 2, timeout: 1s");
  Load({"a"});
  for (int i = 0; i < 2; ++i) {
    transport_.Answer(absl::UnavailableError("refused"));
    EXPECT_THAT(Taken(), SizeIs(0));
    executor_.RunFor(absl::Milliseconds(60));
    ASSERT_THAT(transport_.calls, SizeIs(1)) << i;
  }
  transport_.Answer(absl::UnavailableError("refused"));
  EXPECT_THAT(Taken(), ElementsAre("a=ORIGIN_UNAVAILABLE"));
  EXPECT_EQ(name_space_.counters.origin.loads, 3);
  EXPECT_EQ(name_space_.counters.origin.retries, 2);
  Load({"b"});
  transport_.Answer(absl::InternalError("bug"));
  EXPECT_THAT(Taken(), ElementsAre("b=ORIGIN_ERROR")) << "not made again: it was taken";
}

TEST_F(OriginLoaderTest, AnAnswerThatIsTooLargeIsAskedForInHalves) {
  Load({"a", "b", "c"});
  transport_.AnswerTooMuch();
  ASSERT_THAT(transport_.calls, SizeIs(2));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("a", "b"));
  EXPECT_THAT(transport_.calls[1].keys(), ElementsAre("c"));
  transport_.AnswerTooMuch();
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("c=v:c"));
  ASSERT_THAT(transport_.calls, SizeIs(2));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("a"));
  transport_.AnswerTooMuch();
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("a=ORIGIN_INVALID", "b=v:b")) << "alone it is too much";
  EXPECT_EQ(name_space_.counters.origin.invalid, 1);
}

TEST_F(OriginLoaderTest, HalvesWaitForTheirTurnAsOthersDo) {
  SetPolicy("batch_window: 0, concurrency: 1, timeout: 10s");
  Load({"a", "b", "c", "d"});
  Load({"e"});
  transport_.AnswerTooMuch();
  ASSERT_THAT(transport_.calls, SizeIs(1)) << "one call at a time";
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("a", "b"));
  EXPECT_EQ(loader_.States()[0].waiting, 3);
  transport_.Answer();
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("c", "d")) << "before who came later";
  transport_.Answer();
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("e"));
  transport_.Answer();
  SetPolicy("batch_window: 0, concurrency: 10, rate: 20, timeout: 10s");
  executor_.RunFor(absl::Seconds(1));
  Load({"f", "g"});
  ASSERT_THAT(transport_.calls, SizeIs(1));
  transport_.AnswerTooMuch();
  EXPECT_THAT(transport_.calls, SizeIs(0)) << "the rate's tokens were spent";
  executor_.RunFor(absl::Milliseconds(51));
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("f"));
}

TEST_F(OriginLoaderTest, AnOriginThatAnswersTooMuchIsThere) {
  SetPolicy("batch_window: 0, retries: 0, concurrency: 100");
  for (int i = 0; i < 50; ++i) {
    Load({"a"});
    if (i % 2 == 0) {
      transport_.AnswerTooMuch();
    } else {
      transport_.Answer(absl::OutOfRangeError("too many fields"), AnswerFault::kTooManyFields);
    }
    EXPECT_THAT(Taken(), ElementsAre("a=ORIGIN_INVALID"));
  }
  EXPECT_EQ(loader_.States()[0].breaker, "closed");
  Load({"b", "c"});
  transport_.Answer(absl::OutOfRangeError("too many fields"), AnswerFault::kTooManyFields);
  EXPECT_THAT(Taken(), ElementsAre("b=ORIGIN_INVALID", "c=ORIGIN_INVALID")) << "not in halves";
  Load({"d"});
  transport_.Answer(absl::OutOfRangeError("the origin's own words"));
  EXPECT_THAT(Taken(), ElementsAre("d=ORIGIN_ERROR"));
}

TEST_F(OriginLoaderTest, ACallHasTheTimeOfItsNewestKeyAndEachKeyItsOwn) {
  SetPolicy("batch_window: 0, concurrency: 1, timeout: 100ms");
  Load({"first"});
  executor_.RunFor(absl::Milliseconds(10));
  Load({"old"});
  executor_.RunFor(absl::Milliseconds(50));
  Load({"new"});
  transport_.Answer();
  Taken();
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("old", "new"));
  EXPECT_EQ(transport_.calls[0].deadline, clock_.Now() + absl::Milliseconds(100));
  executor_.RunFor(absl::Milliseconds(49));
  EXPECT_THAT(Taken(), SizeIs(0));
  executor_.RunFor(absl::Milliseconds(1));
  EXPECT_THAT(Taken(), ElementsAre("old=ORIGIN_TIMEOUT"));
  executor_.RunFor(absl::Milliseconds(40));
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("new=v:new"));
  EXPECT_EQ(name_space_.counters.origin.ignored, 0) << "the late key had been asked for";
  EXPECT_EQ(name_space_.counters.origin.timeouts, 1);
}

TEST_F(OriginLoaderTest, AnotherAttemptAsksForWhoStillWaits) {
  SetPolicy("batch_window: 0, concurrency: 1, timeout: 100ms, retries: 5");
  Load({"first"});
  executor_.RunFor(absl::Milliseconds(1));
  Load({"old"});
  executor_.RunFor(absl::Milliseconds(90));
  Load({"new"});
  transport_.Answer();
  Taken();
  executor_.RunFor(absl::Milliseconds(9));
  transport_.Answer(absl::UnavailableError("refused"));
  executor_.RunFor(absl::Milliseconds(60));
  EXPECT_THAT(Taken(), ElementsAre("old=ORIGIN_TIMEOUT"));
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("new"));
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("new=v:new"));
}

TEST_F(OriginLoaderTest, AnOriginThatFailsIsLeftAloneForAWhile) {
  SetPolicy("batch_window: 0, retries: 0, concurrency: 100");
  for (int i = 0; i < 10; ++i) {
    Load({"a"});
    transport_.Answer(absl::UnavailableError("refused"));
  }
  Taken();
  EXPECT_EQ(loader_.States()[0].breaker, "open");
  Load({"b", "c"});
  EXPECT_THAT(transport_.calls, SizeIs(0));
  EXPECT_THAT(Taken(), UnorderedElementsAre("b=ORIGIN_UNAVAILABLE", "c=ORIGIN_UNAVAILABLE"));
  executor_.RunFor(absl::Seconds(2));
  for (int i = 0; i < 2; ++i) {
    Load({"d"});
    ASSERT_THAT(transport_.calls, SizeIs(1)) << "probes";
    transport_.Answer();
  }
  EXPECT_EQ(loader_.States()[0].breaker, "closed");
}

TEST_F(OriginLoaderTest, ABreakerThatNobodyMeetsAnyMoreIsNotTold) {
  SetPolicy("batch_window: 0, retries: 0, concurrency: 100");
  for (int i = 0; i < 10; ++i) {
    Load({"a"});
    transport_.Answer(absl::UnavailableError("refused"));
  }
  executor_.RunFor(absl::Minutes(9));
  ASSERT_THAT(loader_.States(), SizeIs(1));
  EXPECT_EQ(loader_.States()[0].breaker, "open");
  executor_.RunFor(absl::Minutes(2));
  EXPECT_THAT(loader_.States(), SizeIs(0));
  Load({"a"});
  EXPECT_EQ(loader_.States()[0].breaker, "half_open");
  transport_.Answer();
}

TEST_F(OriginLoaderTest, KeysGoNoFasterThanTheRate) {
  SetPolicy("batch_window: 0, rate: 100, timeout: 10s, concurrency: 1000");
  Strings keys;
  for (int i = 0; i < 60; ++i) keys.push_back(absl::StrCat("k", i));
  Load(keys);
  const auto sent = [this] {
    size_t count = 0;
    for (const auto& call : transport_.calls) count += call.keys().size();
    return count;
  };
  EXPECT_EQ(sent(), 10) << "what a tenth of a second gives may be saved up";
  executor_.RunFor(absl::Milliseconds(200));
  EXPECT_NEAR(static_cast<double>(sent()), 30, 2);
  executor_.RunFor(absl::Milliseconds(400));
  EXPECT_EQ(sent(), 60);
}

TEST_F(OriginLoaderTest, WhatIsAskedForAgainCountsForTheRate) {
  SetPolicy(
      "batch_window: 0, rate: 20, timeout: 10s, concurrency: 1000, batch_size: 1, retries: 5");
  Load({"a", "b"});
  ASSERT_THAT(transport_.calls, SizeIs(2)) << "what a tenth of a second gives";
  transport_.Answer(absl::UnavailableError("refused"));
  transport_.Answer(absl::UnavailableError("refused"));
  Load({"c"});
  executor_.RunFor(absl::Milliseconds(45));
  EXPECT_THAT(transport_.calls, SizeIs(0)) << "the pauses are over, and there are no tokens";
  executor_.RunFor(absl::Milliseconds(10));
  ASSERT_THAT(transport_.calls, SizeIs(1));
  executor_.RunFor(absl::Milliseconds(50));
  ASSERT_THAT(transport_.calls, SizeIs(2));
  executor_.RunFor(absl::Milliseconds(50));
  ASSERT_THAT(transport_.calls, SizeIs(3)) << "those that wait come after them";
  EXPECT_THAT(transport_.calls[2].keys(), ElementsAre("c"));
  for (int i = 0; i < 3; ++i) transport_.Answer();
  EXPECT_THAT(Taken(), SizeIs(3));

  // However often an origin refuses, it is asked no faster than the rate.
  const uint64_t loads = name_space_.counters.origin.loads;
  Strings keys;
  for (int i = 0; i < 20; ++i) keys.push_back(absl::StrCat("k", i));
  Load(keys);
  for (int step = 0; step < 200; ++step) {
    while (!transport_.calls.empty()) transport_.Answer(absl::UnavailableError("refused"));
    executor_.RunFor(absl::Milliseconds(10));
  }
  EXPECT_LE(name_space_.counters.origin.loads - loads, 42) << "2 s, and what was saved up";
}

TEST_F(OriginLoaderTest, WhatTheRateAllowsTooLateIsNotAskedForAgain) {
  SetPolicy("batch_window: 0, rate: 1, timeout: 500ms, concurrency: 1000, retries: 5");
  Load({"a"});
  transport_.Answer(absl::UnavailableError("refused"));
  EXPECT_THAT(Taken(), ElementsAre("a=ORIGIN_UNAVAILABLE"));
  EXPECT_EQ(name_space_.counters.origin.retries, 0);
}

TEST_F(OriginLoaderTest, OnlySoManyKeysWait) {
  SetPolicy("batch_window: 0, concurrency: 1, batch_size: 1");
  Strings keys(OriginLoader::kMaxWaiting + 5);
  for (size_t i = 0; i < keys.size(); ++i) keys[i] = absl::StrCat("k", i);
  Load({"first"});
  Load(keys);
  EXPECT_THAT(Taken(), SizeIs(5));
  EXPECT_EQ(loader_.States()[0].waiting, OriginLoader::kMaxWaiting);
}

TEST_F(OriginLoaderTest, OneKeyThatIsWantedTwiceIsAskedForOnce) {
  Load({"a", "a", "b"});
  ASSERT_THAT(transport_.calls, SizeIs(1));
  EXPECT_THAT(transport_.calls[0].keys(), ElementsAre("a", "b"));
  transport_.Answer();
  EXPECT_THAT(Taken(), ElementsAre("a=v:a", "a=v:a", "b=v:b"));
}

TEST_F(OriginLoaderTest, ANewPolicyHoldsForWhatComesAfterIt) {
  SetPolicy("batch_window: 0, tls: true, ca_file: /ca.pem");
  Load({"a"});
  EXPECT_TRUE(transport_.calls[0].target.tls);
  EXPECT_EQ(transport_.calls[0].target.ca_file, "/ca.pem");
  SetPolicy("batch_window: 0");
  Load({"b"});
  EXPECT_FALSE(transport_.calls[1].target.tls);
}

}  // namespace
}  // namespace meridian
