#include "server/node/keeping_lease_store.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_lease_store.h"

namespace meridian {
namespace {

constexpr absl::Duration kTtl = absl::Seconds(3);

class KeepingLeaseStoreTest : public ::testing::Test {
 protected:
  KeepingLeaseStoreTest() {
    auto view = store_.ViewFor(executor_);
    view_ = view.get();
    KeepingLeaseStoreOptions options;
    options.most_bytes = 100;
    options.not_kept = {"large/"};
    keeping_ = std::make_unique<KeepingLeaseStore>(options, std::move(view));
  }

  absl::StatusOr<LeaseState> Bid(LeaseClaim claim, uint64_t known_token) {
    std::optional<absl::StatusOr<LeaseState>> answer;
    LeaseBid bid = {"a", "at:a"};
    bid.claim = claim;
    bid.known_token = known_token;
    keeping_->TryAcquire("leader", bid, kTtl,
                         [&](absl::StatusOr<LeaseState> given) { answer = std::move(given); });
    executor_.RunDue();
    return answer.value_or(absl::InternalError("not answered"));
  }
  void Put(std::vector<FencedWrite> writes) {
    std::optional<absl::Status> status;
    keeping_->PutAllFenced("leader", 1, std::move(writes),
                           [&](const absl::Status& given) { status = given; });
    executor_.RunDue();
    ASSERT_EQ(status, absl::OkStatus());
  }
  // Another one takes the lease and gives it back.
  void LetAnotherLead() {
    clock_.Advance(2 * kTtl);
    auto other = store_.ViewFor(executor_);
    other->TryAcquire("leader", {"b", "at:b"}, kTtl, [](const auto&) {});
    other->Release("leader", "b", [](const auto&) {});
    executor_.RunDue();
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeLeaseStore store_{clock_};
  FakeLeaseStore::View* view_;
  std::unique_ptr<KeepingLeaseStore> keeping_;
};

TEST_F(KeepingLeaseStoreTest, WhatTheLeaderStoredAndReadIsThereAgain) {
  store_.SetValue("of before", "0");
  ASSERT_EQ(Bid(LeaseClaim::kTakes, 0)->token, 1u);
  keeping_->GetValue("of before", [](const auto&) {});
  keeping_->GetValue("not there", [](const auto&) {});
  Put({{"x", "1"}, {"y", "2"}, {"z", "3"}});
  Put({{"x", "4"}, {"y", std::nullopt}});
  store_.Empty();
  const auto answer = Bid(LeaseClaim::kLeads, 1);
  ASSERT_TRUE(answer.ok() && answer->held);
  EXPECT_TRUE(answer->lost_data);
  EXPECT_EQ(store_.Value("of before"), "0");
  EXPECT_EQ(store_.Value("x"), "4");
  EXPECT_EQ(store_.Value("y"), std::nullopt) << "it was deleted";
  EXPECT_EQ(store_.Value("z"), "3");
  EXPECT_EQ(keeping_->losses(), 1u);
  store_.Empty();
  ASSERT_TRUE(Bid(LeaseClaim::kLeads, 1).ok());
  EXPECT_EQ(store_.Value("x"), "4") << "and once more";
  EXPECT_EQ(keeping_->losses(), 2u);
}

TEST_F(KeepingLeaseStoreTest, AStoreThatComesBackEmptyIsFilledBeforeItsLeaderLeadsAgain) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}});
  clock_.Advance(2 * kTtl);
  store_.Empty();
  const auto answer = Bid(LeaseClaim::kInsists, 1);
  ASSERT_TRUE(answer.ok() && answer->held);
  EXPECT_EQ(answer->token, 2u);
  EXPECT_EQ(store_.Value("x"), "1");
}

TEST_F(KeepingLeaseStoreTest, WhatCannotBeWrittenAgainIsAnErrorAndTriedAgain) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}});
  store_.Empty();
  view_->FailPuts(1);
  EXPECT_EQ(Bid(LeaseClaim::kLeads, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store_.Value("x"), std::nullopt);
  ASSERT_TRUE(Bid(LeaseClaim::kLeads, 1).ok());
  EXPECT_EQ(store_.Value("x"), "1");
  EXPECT_EQ(keeping_->losses(), 1u);
}

TEST_F(KeepingLeaseStoreTest, WhatTheStoreStillHasAndIsOlderIsReplaced) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}});
  store_.Empty();
  store_.SetValue("x", "of a snapshot");
  ASSERT_TRUE(Bid(LeaseClaim::kLeads, 1).ok());
  EXPECT_EQ(store_.Value("x"), "1");
}

TEST_F(KeepingLeaseStoreTest, WhatIsBeingWrittenIsLeftToThat) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}, {"y", "1"}, {"z", "1"}});
  store_.Empty();
  // The store hears them after the bid; their answers come after the bid's.
  std::optional<absl::StatusOr<LeaseState>> answer;
  LeaseBid bid = {"a", "at:a"};
  bid.claim = LeaseClaim::kLeads;
  bid.known_token = 1;
  keeping_->TryAcquire("leader", bid, kTtl, [&](auto given) { answer = std::move(given); });
  keeping_->PutAllFenced("leader", 1, {{"x", "2"}, {"y", std::nullopt}}, [](const auto&) {});
  executor_.RunDue();
  ASSERT_TRUE(answer.has_value() && answer->ok());
  EXPECT_FALSE((*answer)->lost_data) << "not all of it is looked after";
  EXPECT_EQ(store_.Value("x"), "2");
  EXPECT_EQ(store_.Value("y"), std::nullopt);
  EXPECT_EQ(store_.Value("z"), "1");
  EXPECT_EQ(keeping_->losses(), 0u);
  const auto again = Bid(LeaseClaim::kLeads, 1);
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->lost_data);
  EXPECT_EQ(store_.Value("x"), "2");
  EXPECT_EQ(store_.Value("y"), std::nullopt);
  EXPECT_EQ(keeping_->losses(), 1u);
}

TEST_F(KeepingLeaseStoreTest, WhoDidNotLeadLastWritesNothing) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}});
  LetAnotherLead();
  store_.Empty();
  const auto answer = Bid(LeaseClaim::kInsists, 2);
  ASSERT_TRUE(answer.ok() && answer->held);
  EXPECT_EQ(store_.Value("x"), std::nullopt) << "it may be old";
  EXPECT_EQ(keeping_->losses(), 0u);
}

TEST_F(KeepingLeaseStoreTest, WhoLeadsAgainAfterAnotherForgetsWhatItHadStored) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"x", "1"}});
  LetAnotherLead();
  const auto again = Bid(LeaseClaim::kTakes, 1);
  ASSERT_TRUE(again.ok() && again->held);
  ASSERT_EQ(again->token, 3u);
  store_.Empty();
  ASSERT_TRUE(Bid(LeaseClaim::kLeads, 3).ok());
  EXPECT_EQ(store_.Value("x"), std::nullopt);
}

TEST_F(KeepingLeaseStoreTest, WhatIsLargeIsNotKept) {
  ASSERT_TRUE(Bid(LeaseClaim::kTakes, 0).ok());
  Put({{"large/1", "1"}, {"huge", std::string(101, 'h')}, {"half", std::string(51, '1')}});
  Put({{"other half", std::string(51, '2')}, {"half", std::string(52, '3')}});
  store_.Empty();
  ASSERT_TRUE(Bid(LeaseClaim::kLeads, 1).ok());
  EXPECT_EQ(store_.Value("large/1"), std::nullopt);
  EXPECT_EQ(store_.Value("huge"), std::nullopt);
  EXPECT_EQ(store_.Value("half"), std::string(52, '3'));
  EXPECT_EQ(store_.Value("other half"), std::nullopt);
}

}  // namespace
}  // namespace meridian
