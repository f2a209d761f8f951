// One suite for every LeaseStore: in memory, and on a real Redis.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "server/l2/redis_lease_store.h"
#include "server/node/local_lease_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/redis_cluster.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"

namespace meridian {
namespace {

enum class Backend { kLocal, kRedis, kCluster };

class LeaseStoreContractTest : public ::testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (GetParam() == Backend::kLocal) {
      store_ = std::make_unique<LocalLeaseStore>(fake_clock_, executor_);
      return;
    }
    std::string url;
    if (GetParam() == Backend::kCluster) {
      auto cluster = RedisCluster::Start(dir_.path(), 3);
      ASSERT_TRUE(cluster.ok()) << cluster.status();
      cluster_ = *std::move(cluster);
      url = cluster_->url();
    } else {
      auto redis = RedisProcess::Start();
      ASSERT_TRUE(redis.ok()) << redis.status();
      redis_ = *std::move(redis);
      url = redis_->url();
    }
    loop_ = *EventLoop::Create("l2-test");
    RedisClientOptions options;
    options.url = *ParseRedisUrl(url);
    options.connection.connect_timeout = absl::Seconds(20);
    options.connection.command_timeout = absl::Seconds(20);
    auto store = RedisLeaseStore::Create(*loop_, options, system_clock_, nullptr);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  template <typename Answer, typename Begin>
  Answer Wait(Begin begin) {
    absl::Notification done;
    std::optional<Answer> answer;
    begin([&](Answer result) {
      answer.emplace(std::move(result));
      done.Notify();
    });
    executor_.RunDue();
    done.WaitForNotification();
    return *std::move(answer);
  }
  LeaseState Acquire(std::string holder, absl::Duration ttl = absl::Minutes(1),
                     std::string name = "leader", std::string note = "") {
    return Bid({holder, "at:" + holder, "http:" + holder, note}, ttl, name);
  }
  LeaseState Bid(const LeaseBid& bid, absl::Duration ttl = absl::Minutes(1),
                 const std::string& name = "leader") {
    const auto state = Wait<absl::StatusOr<LeaseState>>(
        [&](auto done) { store_->TryAcquire(name, bid, ttl, done); });
    EXPECT_TRUE(state.ok()) << state.status();
    return state.value_or(LeaseState());
  }
  absl::Status Release(std::string holder) {
    return Wait<absl::Status>([&](auto done) { store_->Release("leader", holder, done); });
  }
  absl::Status Put(uint64_t token, std::string value) {
    return Wait<absl::Status>(
        [&](auto done) { store_->PutFenced("leader", token, "epoch", value, done); });
  }
  absl::Status PutAll(uint64_t token, std::vector<FencedWrite> writes) {
    return Wait<absl::Status>(
        [&](auto done) { store_->PutAllFenced("leader", token, writes, done); });
  }
  std::optional<std::string> Value(const std::string& key = "epoch") {
    const auto value = Wait<absl::StatusOr<std::optional<std::string>>>(
        [&](auto done) { store_->GetValue(key, done); });
    EXPECT_TRUE(value.ok()) << value.status();
    return value.value_or(std::nullopt);
  }
  // REQUIRES: one Redis.
  void Empty() { ASSERT_EQ(redis_->Command({"FLUSHALL"}).value_or("-"), "+OK"); }
  void LetPass(absl::Duration duration) {
    fake_clock_.Advance(duration);
    if (GetParam() != Backend::kLocal) absl::SleepFor(duration);
  }

  SystemClock system_clock_;
  FakeClock fake_clock_;
  FakeExecutor executor_{fake_clock_};
  TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<RedisCluster> cluster_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<LeaseStore> store_;
};

TEST_P(LeaseStoreContractTest, OneHolderAtATimeAndEverybodyLearnsWho) {
  const LeaseState first = Acquire("a");
  EXPECT_TRUE(first.held);
  EXPECT_GT(first.token, 0u);
  const LeaseState second = Acquire("b");
  EXPECT_FALSE(second.held);
  EXPECT_EQ(second.holder, "a");
  EXPECT_EQ(second.address, "at:a");
  EXPECT_EQ(second.http_address, "http:a");
  EXPECT_EQ(second.token, first.token);
  EXPECT_TRUE(Acquire("b", absl::Minutes(1), "another lease").held);
}

TEST_P(LeaseStoreContractTest, TheHolderHearsOnceWhatTheOthersNoteAndNobodyElseDoes) {
  using Notes = std::map<std::string, std::string>;
  const std::string any_bytes("\0\r\n{}", 5);
  Acquire("a");
  EXPECT_EQ(Acquire("b", absl::Minutes(1), "leader", "of before").notes, Notes());
  Acquire("b", absl::Minutes(1), "leader", any_bytes);
  Acquire("c", absl::Minutes(1), "leader", "c's");
  EXPECT_EQ(Acquire("d").notes, Notes());
  EXPECT_EQ(Acquire("a").notes, (Notes{{"b", any_bytes}, {"c", "c's"}}));
  EXPECT_EQ(Acquire("a").notes, Notes());
  Acquire("b", absl::Minutes(1), "leader", "to a");
  EXPECT_TRUE(Release("a").ok());
  EXPECT_EQ(Acquire("c").notes, Notes()) << "it was not for c";
}

TEST_P(LeaseStoreContractTest, OfNotesOnlySoManyAreKept) {
  Acquire("a");
  for (size_t i = 0; i < 2 * LeaseStore::kMaxNotes; ++i) {
    Acquire("other-" + std::to_string(i), absl::Minutes(1), "leader", "note");
  }
  EXPECT_EQ(Acquire("a").notes.size(), LeaseStore::kMaxNotes);
}

TEST_P(LeaseStoreContractTest, RenewalKeepsTheTokenAndAChangeRaisesIt) {
  const uint64_t token = Acquire("a").token;
  EXPECT_EQ(Acquire("a").token, token);
  EXPECT_TRUE(Release("a").ok());
  const LeaseState next = Acquire("b");
  EXPECT_TRUE(next.held);
  EXPECT_GT(next.token, token);
  EXPECT_TRUE(Release("a").ok());  // Not its to give back any more.
  EXPECT_FALSE(Acquire("a").held);
}

TEST_P(LeaseStoreContractTest, WhoOnlyLooksTakesAndRenewsNothing) {
  const auto look = [this](std::string holder) {
    LeaseBid bid = {holder, "at:" + holder};
    bid.claim = LeaseClaim::kLooks;
    const auto state = Wait<absl::StatusOr<LeaseState>>(
        [&](auto done) { store_->TryAcquire("leader", bid, absl::Minutes(1), done); });
    EXPECT_TRUE(state.ok()) << state.status();
    return state.value_or(LeaseState());
  };
  EXPECT_FALSE(look("a").held);
  EXPECT_EQ(look("a").holder, "");
  const LeaseState held = Acquire("a", absl::Milliseconds(500));
  EXPECT_TRUE(held.held) << "it was free";
  const LeaseState seen = look("b");
  EXPECT_FALSE(seen.held);
  EXPECT_EQ(seen.holder, "a");
  EXPECT_EQ(seen.token, held.token);
  EXPECT_FALSE(look("a").held);
  LetPass(absl::Milliseconds(600));
  EXPECT_EQ(look("b").holder, "") << "looking did not renew it";
}

TEST_P(LeaseStoreContractTest, AStoreThatHasAClockTellsTheTime) {
  const LeaseState state = Acquire("a");
  if (GetParam() == Backend::kLocal) {
    EXPECT_FALSE(state.now.has_value());
  } else {
    ASSERT_TRUE(state.now.has_value());
    EXPECT_LT(absl::AbsDuration(*state.now - system_clock_.Now()), absl::Seconds(5));
  }
  EXPECT_EQ(Acquire("b").now.has_value(), state.now.has_value());
}

TEST_P(LeaseStoreContractTest, ALeaseEndsByItselfAndEvenItsHolderGetsANewToken) {
  const uint64_t token = Acquire("a", absl::Milliseconds(30)).token;
  LetPass(absl::Milliseconds(60));
  const LeaseState again = Acquire("a");
  EXPECT_TRUE(again.held);
  EXPECT_GT(again.token, token);
}

TEST_P(LeaseStoreContractTest, OnlyTheCurrentTokenWrites) {
  EXPECT_EQ(Value(), std::nullopt);
  EXPECT_EQ(Put(1, "nobody"), Put(1, "nobody"));
  EXPECT_EQ(Put(1, "nobody").code(), absl::StatusCode::kFailedPrecondition);
  const uint64_t old_token = Acquire("a", absl::Milliseconds(30)).token;
  LetPass(absl::Milliseconds(60));
  EXPECT_EQ(Put(old_token, "expired").code(), absl::StatusCode::kFailedPrecondition);
  const uint64_t token = Acquire("b").token;
  EXPECT_EQ(Put(old_token, "paused leader").code(), absl::StatusCode::kFailedPrecondition);
  const std::string any_bytes("\0\r\n{}", 5);
  EXPECT_TRUE(Put(token, any_bytes).ok());
  EXPECT_EQ(Value(), any_bytes);
}

TEST_P(LeaseStoreContractTest, SeveralValuesAreStoredTogetherOrNotAtAll) {
  const uint64_t token = Acquire("a").token;
  const std::string any_bytes("-\0=\r\n", 5);
  EXPECT_TRUE(PutAll(token, {{"epoch", "1"}, {"jobs", any_bytes}, {"empty", ""}}).ok());
  EXPECT_EQ(Value("epoch"), "1");
  EXPECT_EQ(Value("jobs"), any_bytes);
  EXPECT_EQ(Value("empty"), "");
  EXPECT_TRUE(
      PutAll(token, {{"epoch", "2"}, {"jobs", std::nullopt}, {"never", std::nullopt}}).ok());
  EXPECT_EQ(Value("epoch"), "2");
  EXPECT_EQ(Value("jobs"), std::nullopt);
  EXPECT_EQ(PutAll(token + 1, {{"epoch", "3"}, {"empty", std::nullopt}}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Value("epoch"), "2");
  EXPECT_EQ(Value("empty"), "");
}

TEST_P(LeaseStoreContractTest, AStoreThatLostItsDataCountsOnAndLeavesTheLeaseToItsLeader) {
  if (GetParam() != Backend::kRedis) GTEST_SKIP() << "emptied by FLUSHALL of one server";
  for (int i = 0; i < 4; ++i) {
    Acquire("a");
    ASSERT_TRUE(Release("a").ok());
  }
  LeaseBid a = {"a", "at:a"};
  a.known_token = Bid(a).token;
  EXPECT_EQ(a.known_token, 5u);
  Empty();
  LeaseBid b = {"b", "at:b"};
  b.known_token = a.known_token;
  const LeaseState left = Bid(b);
  EXPECT_FALSE(left.held);
  EXPECT_EQ(left.holder, "");
  a.claim = LeaseClaim::kLeads;
  const LeaseState goes_on = Bid(a);
  EXPECT_TRUE(goes_on.held);
  EXPECT_TRUE(goes_on.lost_data);
  EXPECT_EQ(goes_on.token, 5u) << "nobody has led in between";
  EXPECT_FALSE(Bid(a).lost_data) << "it is told once";
  Empty();
  b.claim = LeaseClaim::kInsists;
  const LeaseState taken = Bid(b);
  EXPECT_TRUE(taken.held);
  EXPECT_TRUE(taken.lost_data);
  EXPECT_EQ(taken.token, 6u);
}

INSTANTIATE_TEST_SUITE_P(Stores, LeaseStoreContractTest,
                         ::testing::Values(Backend::kLocal, Backend::kRedis, Backend::kCluster),
                         [](const auto& backend) {
                           return backend.param == Backend::kLocal   ? "Local"
                                  : backend.param == Backend::kRedis ? "Redis"
                                                                     : "Cluster";
                         });

}  // namespace
}  // namespace meridian
