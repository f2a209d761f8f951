// One log of changes, deletes among them, that reaches a real Redis a hundred times: each time in
// another order, some changes more than once, in batches of any size. It ends the same.

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/l2/apply_batch.h"
#include "tests/contract/redis_store_fixture.h"

namespace meridian {
namespace {

constexpr int kKeys = 20;
constexpr int kChanges = 400;
constexpr int kShuffles = 100;
constexpr size_t kLargestBatch = 64;

class ShuffledLogTest : public RedisStoreTest {
 protected:
  // Few slots, so that keys share changelogs.
  static std::string KeyOf(size_t i) { return absl::StrCat("{", i % 7, "}", i); }

  // Of two regions, which write the same key at the same time now and then.
  std::vector<L2Write> MakeLog() {
    std::vector<L2Write> log;
    std::map<std::string, L2Write> newest;
    uint64_t ms = 0;
    std::string key;
    for (uint64_t i = 0; i < kChanges; ++i) {
      if (i % 2 == 0 || random_() % 4 != 0) {
        key = KeyOf(random_() % kKeys);
        ms = 1'700'000'000'000 + random_() % 50;
      }
      const std::string value = absl::StrCat("value ", i);
      L2Write write = Put(key, 0, value);
      write.version = Version{ms << 16 | i / 2, RegionId(i % 2 == 0 ? "us" : "eu")};
      Record record;
      record.version = write.version;
      if (random_() % 3 == 0) {
        record.kind = RecordKind::kTombstone;
        write.retention = absl::Hours(24);
      } else {
        record.value = value;
      }
      write.expires_at = record.expires_at = clock_.Now() + write.retention;
      write.record.clear();
      AppendRecord(record, &write.record);
      const auto [it, is_new] = newest.emplace(write.key.key, write);
      if (!is_new && it->second.version < write.version) it->second = write;
      log.push_back(std::move(write));
    }
    for (const auto& [name, write] : newest) {
      const bool dead = ParseRecord(write.record)->kind == RecordKind::kTombstone;
      absl::StrAppend(&expected_, name, " ", write.record, dead ? " for ever\n" : " for a time\n");
    }
    return log;
  }

  void ApplyInBatches(const std::vector<L2Write>& changes) {
    for (size_t begin = 0; begin < changes.size();) {
      const size_t end = std::min(changes.size(), begin + 1 + random_() % kLargestBatch);
      const std::vector<L2Write> batch(changes.begin() + static_cast<ptrdiff_t>(begin),
                                       changes.begin() + static_cast<ptrdiff_t>(end));
      for (const L2WriteResult& result : Apply(batch)) ASSERT_TRUE(result.status.ok());
      begin = end;
    }
  }

  // Every entry of the server: its bytes, and whether Redis may forget it by itself.
  std::string Everything() {
    std::map<std::string, std::string> entries;
    const std::vector<std::string> names = redis_->List({"KEYS", "m:{*}:e:*"}).value();
    for (const std::string& name : names) {
      const std::string life = redis_->Command({"PTTL", name}).value();
      entries[ParseEntryRedisKey(name).value().key] = absl::StrCat(
          redis_->Command({"GET", name}).value(), life == ":-1" ? " for ever" : " for a time");
    }
    std::string all;
    for (const auto& [key, entry] : entries) absl::StrAppend(&all, key, " ", entry, "\n");
    return all;
  }

  std::mt19937 random_{20};
  std::string expected_;  // The newest change of each key.
};

TEST_F(ShuffledLogTest, AHundredOrdersEndTheSameOnTheNewestChangeOfEachKey) {
  StartRedis();
  OpenStore();
  const std::vector<L2Write> log = MakeLog();
  for (int shuffle = 0; shuffle < kShuffles; ++shuffle) {
    std::vector<L2Write> changes = log;
    std::sample(log.begin(), log.end(), std::back_inserter(changes), random_() % kChanges, random_);
    std::shuffle(changes.begin(), changes.end(), random_);
    ASSERT_EQ(redis_->Command({"FLUSHALL"}).value_or("-"), "+OK");
    ApplyInBatches(changes);
    ASSERT_FALSE(HasFatalFailure());
    ASSERT_EQ(Everything(), expected_) << "shuffle " << shuffle;
  }
}

}  // namespace
}  // namespace meridian
