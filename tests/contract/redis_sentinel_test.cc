// Real sentinels over a real primary and its replicas: who is the primary, and what a failover
// costs.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/l2/apply_batch.h"
#include "tests/contract/redis_sentinel_fixture.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr absl::Duration kWritesResumeWithin = absl::Seconds(8);

TEST_F(RedisSentinelTest, Requirement4_13_WritesGoOnEightSecondsAfterThePrimaryIsKilled) {
  StartGroup();
  OpenStore(FastTimeouts(), Url());
  Load load(*this);
  ASSERT_TRUE(WaitUntil([&] { return load.written() >= 200; }, absl::Seconds(60)));
  servers_[0]->Kill();
  const int before = load.written();
  ASSERT_TRUE(WaitUntil([&] { return load.written() >= before + 200; }, absl::Seconds(60)));
  load.Stop();
  EXPECT_EQ(load.wrong_values(), 0);
  load.ExpectOlderReadsAreOf(LostOf(load));
  EXPECT_GT(load.failed_writes(), 0);
  EXPECT_LE(load.longest_pause(), kWritesResumeWithin);
  EXPECT_EQ(observer_.primary_changes(), 1);
  EXPECT_EQ(store_->Generation(), 1u);
  EXPECT_TRUE(IsPrimary(*servers_[1]) || IsPrimary(*servers_[2]));
  EXPECT_TRUE(store_->Health().connected) << store_->Health().problem;
  RecordProperty("pause_ms", static_cast<int>(absl::ToInt64Milliseconds(load.longest_pause())));
  std::printf("writes paused for %s\n", absl::FormatDuration(load.longest_pause()).c_str());
}

TEST_F(RedisSentinelTest, ReadsGoOnAtAReplicaWhenThePrimaryDies) {
  StartGroup();
  OpenStore(FastTimeouts(), Url() + "?replica_reads=true");
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  for (size_t i = 1; i < 3; ++i) {
    ASSERT_TRUE(WaitUntil(
        [&] {
          return servers_[i]->Command({"EXISTS", EntryRedisKey(Key("a"))}).value_or("") == ":1";
        },
        absl::Seconds(60)));
  }
  // The store has met the replicas, one connection for reads and one for writes each.
  ASSERT_TRUE(observer_.WaitForUps(6));
  servers_[0]->Kill();
  ASSERT_FALSE(ApplyStatus(Put("b", 1, "one"), absl::Milliseconds(500)).ok());
  // Before the sentinels have noticed: later they drop the replicas' connections too, for a moment.
  for (int i = 0; i < 50; ++i) {
    const L2Record record = Fetch({Key("a")}, absl::Milliseconds(500))[0];
    ASSERT_TRUE(record.status.ok()) << record.status;
    ASSERT_EQ(ParseRecord(record.record.view())->value, "one");
    ASSERT_TRUE(record.from_replica);
  }
  EXPECT_GE(observer_.replica_reads(), 50);
  // Who must know what the primary has is told that it is away.
  const int asked = observer_.replica_reads();
  EXPECT_FALSE(FetchFromPrimary({Key("a")}, absl::Milliseconds(500))[0].status.ok());
  EXPECT_EQ(observer_.replica_reads(), asked);
  // And when there is a new one, all is as before.
  ASSERT_TRUE(
      WaitUntil([&] { return ApplyStatus(Put("a", 2, "two"), absl::Milliseconds(500)).ok(); },
                absl::Seconds(60)));
  const L2Record record = Fetch({Key("a")})[0];
  EXPECT_EQ(ParseRecord(record.record.view())->value, "two");
  EXPECT_FALSE(record.from_replica);
}

TEST_F(RedisSentinelTest, APrimaryThatBecomesAReplicaIsLeft) {
  StartGroup();
  OpenStore(FastTimeouts(), Url());
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  // The old primary lives on, as a replica that takes no writes.
  ASSERT_EQ(*sentinels_[0]->Command({"SENTINEL", "FAILOVER", "main"}), "+OK");
  ASSERT_TRUE(WaitUntil([&] { return observer_.primary_changes() > 0; }, absl::Seconds(60)));
  int version = 2;
  ASSERT_TRUE(WaitUntil(
      [&] { return ApplyStatus(Put("a", version++, "two"), absl::Milliseconds(500)).ok(); },
      absl::Seconds(60)));
  EXPECT_TRUE(WaitUntil([&] { return !IsPrimary(*servers_[0]); }, absl::Seconds(60)));
  EXPECT_EQ(ParseRecord(Fetch({Key("a")})[0].record.view())->value, "two");
}

// A sentinel that was cut off during a failover is the only one that answers afterwards, and the
// old primary takes itself for one.
TEST_F(RedisSentinelTest, ASentinelThatIsOutOfDateDoesNotLeadBack) {
  StartGroup();
  OpenStore(FastTimeouts(), Url());
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  sentinels_[0]->Kill();
  ASSERT_EQ(*sentinels_[1]->Command({"SENTINEL", "FAILOVER", "main"}), "+OK");
  ASSERT_TRUE(WaitUntil([&] { return observer_.primary_changes() == 1; }, absl::Seconds(60)));
  sentinels_[1]->Kill();
  sentinels_[2]->Kill();
  ASSERT_EQ(*servers_[0]->Command({"REPLICAOF", "NO", "ONE"}), "+OK");
  ASSERT_TRUE(sentinels_[0]->Restart().ok());
  const std::string address = absl::StrCat("127.0.0.1:", sentinels_[0]->port());
  ASSERT_TRUE(WaitUntil(
      [&] {
        return absl::StrContains(store_->Health().problem, "is up to date: it is out of date");
      },
      absl::Seconds(60)))
      << store_->Health().problem;
  EXPECT_TRUE(ApplyStatus(Put("b", 1, "one")).ok());
  EXPECT_EQ(observer_.primary_changes(), 1);
  EXPECT_EQ(*servers_[0]->Command({"EXISTS", EntryRedisKey(Key("b"))}), ":0");
  EXPECT_EQ(store_->Health().sentinels[0].address, address);
  EXPECT_THAT(store_->Health().sentinels[0].problem, HasSubstr("not believed"));
  EXPECT_THAT(store_->Health().sentinels[1].problem, Not(IsEmpty()));
  // Said once, not once a second.
  const std::vector<std::string> said = observer_.sentinels();
  EXPECT_EQ(std::count_if(said.begin(), said.end(),
                          [&](const std::string& line) {
                            return absl::StrContains(line, address + ": it is out of date");
                          }),
            1);
}

TEST_F(RedisSentinelTest, OneSentinelIsEnoughToFindThePrimary) {
  StartGroup();
  sentinels_[0]->Kill();
  sentinels_[1]->Kill();
  OpenStore(FastTimeouts(), Url());
  EXPECT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  EXPECT_THAT(store_->Health().address, HasSubstr(absl::StrCat("127.0.0.1:", servers_[0]->port())));
}

TEST_F(RedisSentinelTest, ThePrimaryStaysInUseWhileAllSentinelsAreAway) {
  StartGroup();
  OpenStore(FastTimeouts(), Url());
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  for (const auto& sentinel : sentinels_) sentinel->Kill();
  ASSERT_TRUE(
      WaitUntil([&] { return absl::StrContains(store_->Health().problem, "no sentinel of main@"); },
                absl::Seconds(60)));
  EXPECT_TRUE(ApplyStatus(Put("a", 2, "two")).ok());
  EXPECT_TRUE(store_->Health().connected);
}

TEST_F(RedisSentinelTest, NoSentinelAndAnUnknownGroupAreToldApart) {
  StartGroup();
  OpenStore(FastTimeouts(), Url("other"));
  EXPECT_THAT(std::string(ApplyStatus(Put("a", 1, "one")).message()),
              HasSubstr("knows this group"));
  store_.reset();
  for (const auto& sentinel : sentinels_) sentinel->Kill();
  OpenStore(FastTimeouts(), Url());
  EXPECT_THAT(std::string(ApplyStatus(Put("a", 1, "one")).message()),
              HasSubstr("no sentinel of main@"));
  EXPECT_FALSE(store_->Health().connected);
}

TEST_F(RedisSentinelTest, AServerThatIsNoPrimaryGetsNoCommands) {
  StartGroup();
  // Sentinels that have just been told so believe anything: this one watches a replica as if it
  // were the primary of a group of its own.
  auto liar = RedisProcess::StartSentinel(
      dir_.path(), {absl::StrCat("sentinel monitor main 127.0.0.1 ", servers_[1]->port(), " 2")});
  ASSERT_TRUE(liar.ok()) << liar.status();
  OpenStore(FastTimeouts(), absl::StrCat("redis+sentinel://127.0.0.1:", (*liar)->port(), "/main"));
  ASSERT_TRUE(
      WaitUntil([&] { return absl::StrContains(store_->Health().problem, "it is a replica"); },
                absl::Seconds(60)));
  EXPECT_EQ(ApplyStatus(Put("a", 1, "one")).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(observer_.ups(), 0);
}

}  // namespace
}  // namespace meridian
