#include "server/membership/update_reporter.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_coordinator_transport.h"
#include "tests/support/fake_executor.h"

namespace meridian {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr NamespaceId kTask = 1;
constexpr NamespaceId kUser = 2;

class UpdateReporterTest : public ::testing::Test {
 protected:
  UpdateReporterTest() {
    CoordinatorClientOptions options;
    options.coordinators = {"a:1"};
    options.region = "us";
    client_ =
        std::make_unique<CoordinatorClient>(options, clock_, executor_, transport_, topology_);
    Member self;
    self.id = "n1";
    client_->Start(self);
    reporter_ = std::make_unique<UpdateReporter>(options_, *client_, transport_, log_, executor_);
    reporter_->Start();
    executor_.RunDue();
  }
  // The coordinator answers heartbeats.
  void Connect() {
    while (!transport_.last().open) executor_.RunFor(absl::Milliseconds(100));  // It tries again.
    transport_.last().events.on_reply({std::nullopt, absl::Seconds(1000)});
    executor_.RunDue();
    ASSERT_TRUE(client_->status().connected);
  }
  void Write(NamespaceId id, const std::vector<std::string>& keys) {
    WriteRequest request;
    request.name_space = id == kTask ? "task" : "user";
    for (const std::string& key : keys) {
      WriteItem item;
      item.key = key;
      request.items.push_back(std::move(item));
    }
    if (log_.Follows(id)) log_.Add(id, request, std::vector<WriteResult>(keys.size()));
  }
  void Pass(absl::Duration duration) {
    for (absl::Duration passed; passed < duration; passed += absl::Seconds(1)) {
      if (transport_.last().open && client_->status().connected) {
        transport_.last().events.on_reply({std::nullopt, absl::Seconds(1000)});
      }
      executor_.RunFor(absl::Seconds(1));
    }
  }
  void Answer(const absl::StatusOr<UpdateAnswer>& answer) {
    ASSERT_THAT(transport_.updates, SizeIs(answered_ + 1)) << "nothing was asked, or too much";
    transport_.updates[answered_++].answer(answer);
    executor_.RunDue();
  }
  const UpdateLog::Batch& Last() const { return transport_.updates.back().batch; }
  size_t calls() const { return transport_.updates.size(); }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeCoordinatorTransport transport_;
  TopologyHolder topology_;
  UpdateLog log_;
  UpdateReporterOptions options_;
  std::unique_ptr<CoordinatorClient> client_;
  std::unique_ptr<UpdateReporter> reporter_;
  size_t answered_ = 0;
};

TEST_F(UpdateReporterTest, TellsTheCoordinatorThatItFollowsOnceASecond) {
  Connect();
  Pass(absl::Seconds(3));
  EXPECT_EQ(calls(), 0u) << "of nothing";
  Write(kTask, {"a", "b"});
  Write(kTask, {"b", "c"});
  Pass(absl::Seconds(1));
  ASSERT_EQ(calls(), 1u);
  EXPECT_EQ(transport_.updates[0].address, "a:1");
  EXPECT_EQ(Last().name_space, "task");
  EXPECT_THAT(Last().keys, UnorderedElementsAre("a", "b", "c"));
  Write(kTask, {"d"});
  Pass(absl::Seconds(2));
  EXPECT_EQ(calls(), 1u) << "two at once";
  Answer(UpdateAnswer{3, true});
  Pass(absl::Seconds(1));
  EXPECT_THAT(Last().keys, UnorderedElementsAre("d"));
  Answer(UpdateAnswer{1, true});
  EXPECT_EQ(reporter_->counters().reported, 4u);
}

TEST_F(UpdateReporterTest, ANamespaceWithoutRulesIsAskedForAgainAfterAWhileAndOthersGoOn) {
  Connect();
  Write(kTask, {"a"});
  Write(kUser, {"u"});
  Pass(absl::Seconds(1));
  for (int i = 0; i < 2; ++i) Answer(UpdateAnswer{1, Last().name_space == "user"});
  EXPECT_EQ(reporter_->counters().unwanted, 1u);
  for (int second = 0; second < 28; ++second) {
    Write(kTask, {absl::StrCat("a", second)});
    Write(kUser, {absl::StrCat("u", second)});
    Pass(absl::Seconds(1));
    ASSERT_EQ(Last().name_space, "user");
    Answer(UpdateAnswer{1, true});
  }
  EXPECT_EQ(reporter_->counters().dropped, 0u);
  Pass(absl::Seconds(3));
  Write(kTask, {"now"});
  Pass(absl::Seconds(1));
  EXPECT_THAT(Last().keys, UnorderedElementsAre("now"));
  EXPECT_EQ(Last().name_space, "task");
}

TEST_F(UpdateReporterTest, WithoutACoordinatorKeysWaitWithinTheirBounds) {
  for (int i = 0; i < 1000; ++i) Write(kTask, {absl::StrCat(i)});
  Pass(absl::Seconds(10));
  EXPECT_EQ(calls(), 0u);
  EXPECT_EQ(reporter_->counters().dropped, 1000 - UpdateLog::kMaxKeys);
  Connect();
  Pass(absl::Seconds(1));
  ASSERT_EQ(calls(), 1u);
  EXPECT_THAT(Last().keys, SizeIs(UpdateLog::kMaxKeys));
}

TEST_F(UpdateReporterTest, WhatIsNotAnsweredOrNotTakenIsToldAgain) {
  Connect();
  Write(kTask, {"a", "b", "c"});
  Pass(absl::Seconds(1));
  const std::vector<std::string> keys = Last().keys;
  Answer(absl::UnavailableError("NOT_LEADER: by the test"));
  EXPECT_EQ(calls(), 1u) << "at once";
  Pass(absl::Seconds(1));
  EXPECT_EQ(Last().keys, keys);
  Answer(UpdateAnswer{1, true});
  EXPECT_EQ(calls(), 2u) << "at once";
  Pass(absl::Seconds(1));
  EXPECT_EQ(Last().keys, std::vector<std::string>(keys.begin() + 1, keys.end()));
  Answer(absl::ResourceExhaustedError("EVENTS_LIMITED: by the test"));
  Pass(absl::Seconds(1));
  Answer(UpdateAnswer{2, true});
  EXPECT_EQ(reporter_->counters().reported, 3u);
}

TEST_F(UpdateReporterTest, WhatIsRefusedOrNeverAnsweredIsGivenUpAndCounted) {
  Connect();
  Write(kTask, {"bad"});
  Pass(absl::Seconds(1));
  Answer(absl::InvalidArgumentError("FIELD_INVALID: by the test"));
  Pass(absl::Seconds(2));
  EXPECT_EQ(calls(), 1u);
  EXPECT_EQ(reporter_->counters().refused, 1u);
  Write(kTask, {"silent"});
  for (int i = 0; i < UpdateReporter::kMaxTries; ++i) {
    Pass(absl::Seconds(1));
    Answer(absl::DeadlineExceededError("by the test"));
  }
  Pass(absl::Seconds(2));
  EXPECT_EQ(calls(), answered_) << "it is told for ever";
  EXPECT_EQ(reporter_->counters().dropped, 1u);
}

// There are more events in the region than its coordinator takes.
TEST_F(UpdateReporterTest, ANamespaceOfWhichNothingIsTakenHoldsUpNoOtherAndEnds) {
  Connect();
  Write(kTask, {"a"});
  Write(kUser, {"u"});
  std::vector<std::string> told;
  for (int i = 0; i < 4; ++i) {
    Pass(absl::Seconds(1));
    told.push_back(Last().name_space);
    Answer(UpdateAnswer{0, true});
  }
  EXPECT_THAT(told, UnorderedElementsAre("task", "user", "task", "user"));
  for (int i = 0; i < 2 * UpdateReporter::kMaxTries; ++i) {
    Pass(absl::Seconds(1));
    if (calls() > answered_) Answer(UpdateAnswer{0, true});
  }
  EXPECT_EQ(reporter_->counters().dropped, 2u);
  EXPECT_EQ(reporter_->counters().reported, 0u);
}

TEST_F(UpdateReporterTest, AnOlderCoordinatorIsLeftAlone) {
  Connect();
  Write(kTask, {"a"});
  Pass(absl::Seconds(1));
  Answer(absl::UnimplementedError("by the test"));
  EXPECT_FALSE(log_.Follows(kTask));
}

}  // namespace
}  // namespace meridian
