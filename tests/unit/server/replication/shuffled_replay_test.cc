// Two regions that wrote the same keys while they could not see each other: however the changes of
// either reach the other, in whatever order and how often, both end on the same.

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "gtest/gtest.h"
#include "server/node/record.h"
#include "server/replication/replicated_write.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {
namespace {

constexpr int kKeys = 10'000;
constexpr int kShuffles = 100;

struct Region {
  Region(const Clock& clock, Executor& executor) : store(clock, executor) {}
  FakeL2Store store;
};

class ShuffledReplayTest : public testing::Test {
 protected:
  std::string KeyOf(int i) const { return absl::StrCat("key:", i); }

  L2Write MakeWrite(int i, Version version, std::optional<std::string> value) {
    L2Write write;
    write.key = {SlotOf("task", KeyOf(i)), "task", KeyOf(i)};
    write.version = version;
    write.retention = absl::Hours(24);
    write.expires_at = clock_.Now() + write.retention;
    Record record;
    record.version = version;
    record.expires_at = write.expires_at;
    record.kind = value ? RecordKind::kValue : RecordKind::kTombstone;
    if (value) record.value = *value;
    AppendRecord(record, &write.record);
    return write;
  }
  void Apply(Region& region, std::vector<L2Write> writes) {
    region.store.Apply(std::move(writes), clock_.Now() + absl::Seconds(1), [](const auto&) {});
    executor_.RunDue();
  }
  // What the changelog of a region brings to another: each change with the record that is there.
  std::vector<L2Write> ChangesOf(Region& region) {
    std::vector<LogRead> reads;
    for (uint32_t slot = 0; slot < kSlotCount; ++slot) reads.push_back({slot, {}});
    std::vector<L2Write> changes;
    region.store.ReadLogs(
        reads, 1'000'000, clock_.Now() + absl::Seconds(1),
        [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
          for (const LogSlice& slice : *slices) {
            for (const LogEntry& entry : slice.entries) {
              const auto bytes = region.store.Peek("task", entry.key);
              changes.push_back(*ReplicatedWrite({slice.slot, "task", entry.key}, *bytes,
                                                 clock_.Now(), absl::Hours(24)));
            }
          }
        });
    executor_.RunDue();
    return changes;
  }
  std::string Everything(Region& region) {
    std::string all;
    for (int i = 0; i < kKeys; ++i) {
      absl::StrAppend(&all, region.store.Peek("task", KeyOf(i)).value_or("-"), "\n");
    }
    return all;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
};

TEST_F(ShuffledReplayTest, AHundredOrdersEndTheSameOnTheHighestVersionOfEachKey) {
  std::mt19937 random(4);
  std::map<int, L2Write> newest;
  std::vector<L2Write> history[2];
  const uint16_t ids[2] = {RegionId("us"), RegionId("eu")};
  const uint64_t begin = static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now()));
  for (int region = 0; region < 2; ++region) {
    for (int i = 0; i < kKeys; ++i) {
      for (size_t times = 1 + random() % 2; times > 0; --times) {
        const Version version{(begin + random() % 5000) << 16 | random() % 4, ids[region]};
        std::optional<std::string> value;
        if (random() % 5 != 0) value = absl::StrCat(region, ":", i, ":", random() % 100);
        L2Write write = MakeWrite(i, version, value);
        if (newest[i].version < version) newest[i] = write;
        history[region].push_back(std::move(write));
      }
    }
  }
  std::string expected;
  for (const auto& [i, write] : newest) absl::StrAppend(&expected, write.record, "\n");

  Region us(clock_, executor_);
  Region eu(clock_, executor_);
  Apply(us, history[0]);
  Apply(eu, history[1]);
  ASSERT_NE(Everything(us), Everything(eu));
  const std::vector<L2Write> of_us = ChangesOf(us);
  const std::vector<L2Write> of_eu = ChangesOf(eu);
  ASSERT_GE(of_us.size(), static_cast<size_t>(kKeys));

  int won_by_us = 0;
  for (const auto& [i, write] : newest) won_by_us += write.version.region == RegionId("us");
  EXPECT_GT(won_by_us, kKeys / 4);
  EXPECT_LT(won_by_us, kKeys - kKeys / 4);

  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    // The changes of both, some of them twice, into a region that had its own first and into an
    // empty one.
    std::vector<L2Write> changes = of_us;
    changes.insert(changes.end(), of_eu.begin(), of_eu.end());
    for (int again = 0; again < kKeys / 10; ++again) changes.push_back(changes[random() % kKeys]);
    std::shuffle(changes.begin(), changes.end(), random);
    Region empty(clock_, executor_);
    Apply(empty, changes);
    ASSERT_EQ(Everything(empty), expected) << "shuffle " << shuffle;
    if (shuffle % 10 == 0) {
      for (const std::vector<L2Write>* own : {&history[0], &history[1]}) {
        Region region(clock_, executor_);
        Apply(region, *own);
        Apply(region, changes);
        ASSERT_EQ(Everything(region), expected) << "shuffle " << shuffle;
      }
    }
  }
}

}  // namespace
}  // namespace meridian
