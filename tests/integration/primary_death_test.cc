// The primary of the regional Redis dies under load, through real nodes: nobody's read fails that
// L1, a stale value or the replica can answer, writes go on within seconds, and nobody reads what
// is wrong. Writes have the client's default deadline.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/checked_load.h"
#include "tests/support/paced_load.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::IsEmpty;

constexpr int kKeys = 200;  // Of each kind.
constexpr absl::Duration kPatience = absl::Seconds(30);
// From the primary's death to the first write that is acknowledged again, and without a pause.
constexpr absl::Duration kFailover = absl::Seconds(8);
// A replica that becomes the primary takes its connections away and writes its configuration to a
// disk; on a busy machine that takes longer than the default deadline, and nobody else has an
// answer then. Reads have time for it; few may need it.
constexpr absl::Duration kReadTimeout = absl::Seconds(2);
constexpr absl::Duration kDefaultReadTimeout = absl::Milliseconds(250);
// As in node_failure_test; what is older than that is wrong.
constexpr absl::Duration kStaleBound = absl::Seconds(5);

// Who can answer while there is no primary.
enum class Kind { kInL1, kStale, kAtTheReplica };

class PrimaryDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "node.yaml",
              "namespaces:\n"
              "  task: {ttl: 10m}\n"
              "  aged: {ttl: 10m, stale: {max: 2m}}\n"
              "  far: {ttl: 10m, admission: {max_size: 1, min_hits: 1000000}}\n");
    TestClusterOptions options;
    options.regions = {"us"};
    options.nodes = 3;
    options.redis = "sentinel";
    options.redis_replica_reads = true;
    options.node_flags = {absl::StrCat("--config=", dir_ / "node.yaml")};
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    client_ = cluster_->NewClient("us");  // With the defaults.
    for (int i = 0; i < kKeys; ++i) {
      SetOptions brief;
      brief.ttl = absl::Milliseconds(100);
      ASSERT_TRUE(Write("aged", i, brief));
      ASSERT_TRUE(Write("task", i, {}));
      ASSERT_TRUE(Write("far", i, {}));
    }
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(
          WaitUntil([&] { return Read(Kind::kInL1, i).source == ResultSource::kL1; }, kPatience));
      ASSERT_TRUE(WaitUntil([&] { return Read(Kind::kStale, i).stale; }, kPatience));
      ASSERT_EQ(Read(Kind::kAtTheReplica, i).source, ResultSource::kL2);
    }
  }

  static std::string KeyOf(int i) { return absl::StrCat("key:", i); }
  static std::string ValueOf(int i) { return absl::StrCat("value ", i); }
  bool Write(const std::string& name_space, int i, const SetOptions& options) {
    return WaitUntil([&] { return client_->Set(name_space, KeyOf(i), ValueOf(i), options).ok(); },
                     kPatience);
  }
  GetResult Read(Kind kind, int i) {
    GetOptions options;
    options.timeout = kReadTimeout;
    if (kind == Kind::kInL1) return client_->Get("task", KeyOf(i), options);
    if (kind == Kind::kAtTheReplica) return client_->Get("far", KeyOf(i), options);
    options.max_stale = absl::Minutes(1);
    return client_->Get("aged", KeyOf(i), options);
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> client_;
};

TEST_F(PrimaryDeathTest, NoReadFailsThatSomebodyCanAnswerAndWritesGoOn) {
  CheckedLoad checked(*client_, {.stale_bound = kStaleBound});
  PacedLoadOptions options;
  options.writes_per_second = 200;
  options.deletes = 0;
  options.timeout = absl::Milliseconds(500);  // The client's default.
  PacedLoad writes(*client_, options);
  ASSERT_TRUE(WaitUntil([&] { return writes.writes() > 400; }, kPatience));

  cluster_->Kill("us-redis-1");
  const absl::Time killed = absl::Now();
  uint64_t acknowledged = writes.writes();
  absl::Time last_write = killed;  // When the last one was seen.
  absl::Duration longest_pause;
  std::map<Kind, int> reads, late;
  int next = 0;
  // Some seconds beyond the failover: clients, nodes and sentinels are busy with it for a while.
  while (absl::Now() - killed < absl::Seconds(6) || longest_pause < absl::Seconds(1)) {
    ASSERT_LT(absl::Now() - killed, kPatience) << "writes do not stop, or do not go on";
    const int i = next++ % kKeys;
    for (const Kind kind : {Kind::kInL1, Kind::kStale, Kind::kAtTheReplica}) {
      const absl::Time asked = absl::Now();
      const GetResult read = Read(kind, i);
      ++reads[kind];
      if (absl::Now() - asked > kDefaultReadTimeout) ++late[kind];
      EXPECT_EQ(read.value, ValueOf(i))
          << "kind " << static_cast<int>(kind) << ", " << absl::Now() - killed << " after: "
          << (read.error == nullptr ? "" : absl::StrCat(read.error->reason, read.error->message));
    }
    const absl::Time now = absl::Now();
    if (const uint64_t seen = writes.writes(); seen > acknowledged + 5) {
      longest_pause = std::max(longest_pause, now - last_write);
      acknowledged = seen;
      last_write = now;
    }
  }
  writes.Stop();
  checked.Stop();
  std::printf(
      "writes paused for %s; %d reads of each kind, late: %d %d %d; %llu answers, errors: %s\n",
      absl::FormatDuration(longest_pause).c_str(), reads[Kind::kInL1], late[Kind::kInL1],
      late[Kind::kStale], late[Kind::kAtTheReplica],
      static_cast<unsigned long long>(checked.answers()), checked.error_text().c_str());
  EXPECT_LT(longest_pause, kFailover);
  EXPECT_GT(reads[Kind::kInL1], 50);
  for (const auto& [kind, count] : late) EXPECT_LT(count, reads[kind] / 100 + 3);
  checked.CheckAllAtRest();
  EXPECT_THAT(checked.wrong(), IsEmpty());
}

}  // namespace
}  // namespace meridian
