// The parts of the replay that judge: values, ledger, sources, batches, comparison of regions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/cli/replay_batches.h"
#include "client/cli/replay_checks.h"
#include "client/cli/replay_ledger.h"
#include "client/cli/replay_stats.h"
#include "client/cli/replay_trace.h"
#include "client/cli/replay_value.h"
#include "client/cli/replay_workload.h"

namespace meridian::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uint64_t kKey = 0x1234;

TEST(ReplayValueTest, AValueTellsItsStampAndNoByteOfItCanChange) {
  for (const uint32_t size : {0u, 16u, 17u, 23u, 24u, 25u, 100u, 4097u}) {
    const std::string value = MakeReplayValue(kKey, {7, 3}, size);
    EXPECT_EQ(value.size(), std::max(size, kSmallestReplayValue));
    const auto stamp = CheckReplayValue(kKey, value);
    ASSERT_TRUE(stamp.has_value()) << size;
    EXPECT_EQ(stamp->run, 7u);
    EXPECT_EQ(stamp->generation, 3u);
    for (size_t i = 0; i < value.size(); ++i) {
      std::string broken = value;
      broken[i] = static_cast<char>(broken[i] ^ 1);
      EXPECT_FALSE(CheckReplayValue(kKey, broken).has_value()) << "byte " << i << " of " << size;
    }
    EXPECT_FALSE(CheckReplayValue(kKey + 1, value).has_value()) << "another key's value";
    EXPECT_FALSE(CheckReplayValue(kKey, value + "x").has_value());
    EXPECT_FALSE(CheckReplayValue(kKey, value.substr(0, value.size() - 1)).has_value());
  }
}

GetResult Hit(std::string value, Version version) {
  GetResult result;
  result.status = ResultStatus::kOk;
  result.value = std::move(value);
  result.version = version;
  return result;
}

class ReplayLedgerTest : public ::testing::Test {
 protected:
  ReplayLedger::Expectation Begin(size_t region) {
    ReplayRequest request;
    request.key = 5;
    return ledger_.Begin(region, {&request, 1})[0];
  }
  std::string Judge(const ReplayLedger::Expectation& expectation, const GetResult& result) {
    const auto mismatch = ledger_.Judge(expectation, kKey, result);
    return mismatch ? mismatch->detail : "";
  }
  static std::string Value(uint32_t generation, uint32_t run = 9) {
    return MakeReplayValue(kKey, {run, generation}, 100);
  }

  ReplayLedger ledger_{2, 9};
};

TEST_F(ReplayLedgerTest, AMissAndTheAcknowledgedValueAreRight) {
  const auto before = Begin(0);
  EXPECT_EQ(ledger_.Issue(before.index).generation, 1u);
  ledger_.Acknowledge(0, before.index, Version{100, 1}, 1);
  const auto after = Begin(0);
  EXPECT_THAT(Judge(after, GetResult{.status = ResultStatus::kMiss}), IsEmpty());
  EXPECT_THAT(Judge(after, Hit(Value(1), Version{100, 1})), IsEmpty());
}

TEST_F(ReplayLedgerTest, AVersionOlderThanTheFloorOfTheRegionIsWrong) {
  const auto before = Begin(0);
  ledger_.Issue(before.index);
  ledger_.Issue(before.index);
  ledger_.Acknowledge(0, before.index, Version{100, 1}, 1);
  ledger_.Acknowledge(0, before.index, Version{200, 1}, 2);
  EXPECT_THAT(Judge(Begin(0), Hit(Value(1), Version{100, 1})), HasSubstr("older than"));
  EXPECT_THAT(Judge(before, Hit(Value(1), Version{100, 1})), IsEmpty())
      << "the read began before the acknowledgement";
  EXPECT_THAT(Judge(Begin(1), Hit(Value(1), Version{100, 1})), IsEmpty())
      << "nothing was acknowledged in that region";
  EXPECT_THAT(Judge(Begin(0), Hit(Value(2), Version{300, 2})), IsEmpty())
      << "another region may write something newer";
}

TEST_F(ReplayLedgerTest, AnAcknowledgementThatComesLateDoesNotLowerTheFloor) {
  const auto key = Begin(0);
  ledger_.Issue(key.index);
  ledger_.Issue(key.index);
  ledger_.Acknowledge(0, key.index, Version{200, 1}, 2);
  ledger_.Acknowledge(0, key.index, Version{100, 1}, 1);
  EXPECT_EQ(Begin(0).floor, (Version{200, 1}));
}

TEST_F(ReplayLedgerTest, KeysForWhichAWriteWasSentAreKnown) {
  const auto key = Begin(0);
  EXPECT_EQ(ledger_.Keys().size(), 1u);
  EXPECT_EQ(ledger_.WrittenKeys().size(), 0u) << "only read";
  ledger_.Issue(key.index);
  EXPECT_EQ(ledger_.WrittenKeys().size(), 1u);
}

TEST_F(ReplayLedgerTest, NothingOlderThanAnInvalidationComesBack) {
  const auto key = Begin(0);
  ledger_.Issue(key.index);
  ledger_.Acknowledge(0, key.index, Version{100, 1}, 1);
  ledger_.Acknowledge(0, key.index, Version{150, 1}, 0);
  EXPECT_THAT(Judge(Begin(0), Hit(Value(1), Version{100, 1})), HasSubstr("older than"));
  EXPECT_THAT(Judge(Begin(0), Hit(Value(1), Version{150, 1})), HasSubstr("was an invalidation"));
  EXPECT_THAT(Judge(Begin(1), Hit(Value(1), Version{150, 1})), HasSubstr("was an invalidation"))
      << "in every region";
}

TEST_F(ReplayLedgerTest, ValuesThatNobodyWroteAreWrong) {
  const auto key = Begin(0);
  ledger_.Issue(key.index);
  EXPECT_THAT(Judge(key, Hit(Value(2), Version{100, 1})), HasSubstr("never written"));
  EXPECT_THAT(Judge(key, Hit("garbage", Version{100, 1})), HasSubstr("not a value of this key"));
  EXPECT_THAT(Judge(key, Hit(Value(1), Version{})), HasSubstr("no version"));
  EXPECT_THAT(Judge(key, Hit(Value(77, /*run=*/8), Version{100, 1})), IsEmpty())
      << "of another replay: nothing more is known";
}

TEST_F(ReplayLedgerTest, AVersionBelongsToOneGeneration) {
  const auto key = Begin(0);
  ledger_.Issue(key.index);
  ledger_.Issue(key.index);
  ledger_.Acknowledge(1, key.index, Version{100, 2}, 1);
  EXPECT_THAT(Judge(Begin(0), Hit(Value(2), Version{100, 2})), HasSubstr("given to generation 1"));
}

TEST(ReplayTraceTest, LinesAreReadWithTheirDefaults) {
  const auto full = ParseTraceLine("12.5,18446744073709551615,200,60,s");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->key, 18446744073709551615u);
  EXPECT_EQ(full->value_size, 200u);
  EXPECT_EQ(full->ttl_s, 60u);
  EXPECT_EQ(full->op, ReplayOp::kSet);
  const auto bare = ParseTraceLine("0,7,0,0,g");
  ASSERT_TRUE(bare.ok());
  EXPECT_EQ(bare->value_size, 100u);
  EXPECT_EQ(bare->ttl_s, 3600u);
  EXPECT_EQ(bare->op, ReplayOp::kGet);
}

TEST(ReplayTraceTest, MalformedLinesAreRefused) {
  for (const char* line : {"", "0,1,2,3", "0,1,2,3,g,", "x,1,2,3,g", "0,-1,2,3,g", "0,1,2,3,d",
                           "0,1,99999999999,3,g", "0,1,8388609,3,g", "0,1, 2,3,g", "0,1,2,3,gg"}) {
    EXPECT_FALSE(ParseTraceLine(line).ok()) << line;
  }
}

TEST(ReplayWorkloadTest, EqualSeedsGiveEqualStreamsAndKeysAreDistinct) {
  SourcesWorkload one(42, 20'000);
  SourcesWorkload two(42, 20'000);
  SourcesWorkload other(43, 20'000);
  std::map<std::string, uint64_t> key_of_text;
  std::set<int> namespaces;
  ReplayRequest a, b, c;
  int differences = 0;
  while (one.Next(&a)) {
    ASSERT_TRUE(two.Next(&b));
    ASSERT_TRUE(other.Next(&c));
    ASSERT_EQ(a.key, b.key);
    ASSERT_EQ(a.value_size, b.value_size);
    ASSERT_EQ(a.op, b.op);
    differences += a.key != c.key;
    namespaces.insert(a.name_space);
    EXPECT_GE(a.value_size, 300u);
    EXPECT_GE(a.ttl_s, 60u);
    const auto [found, is_new] = key_of_text.emplace(one.KeyText(a.key), a.key);
    ASSERT_EQ(found->second, a.key) << found->first << " is the text of two keys";
  }
  EXPECT_FALSE(two.Next(&b)) << "as many as were asked for";
  EXPECT_GT(differences, 10'000);
  EXPECT_THAT(namespaces, SizeIs(one.namespaces().size())) << "every kind of traffic is there";
  EXPECT_EQ(one.KeyText(0), "calm-flowing-seek_advice");
}

// A source of numbered requests.
class NumberedSource final : public RequestSource {
 public:
  explicit NumberedSource(uint64_t count) : count_(count) {}
  bool Next(ReplayRequest* request) override {
    if (next_ == count_) return false;
    request->key = next_;
    request->value_size = 10;
    request->name_space = static_cast<uint8_t>(next_ % 2);
    ++next_;
    return true;
  }
  absl::Status status() const override { return absl::OkStatus(); }
  const std::vector<std::string>& namespaces() const override { return namespaces_; }
  std::string KeyText(uint64_t key) const override { return std::to_string(key); }

 private:
  const uint64_t count_;
  uint64_t next_ = 0;
  const std::vector<std::string> namespaces_ = {"even", "odd"};
};

TEST(ReplayBatchesTest, EveryRequestIsSentOnceWhenTheyAreSplit) {
  NumberedSource source(1000);
  ReplayBatches batches(source, {.regions = 3, .batch = 16});
  std::set<uint64_t> seen;
  std::array<int, 3> by_region{};
  ReplayBatch batch;
  while (batches.Take(&batch)) {
    EXPECT_LE(batch.requests.size(), 16u);
    by_region[batch.region] += static_cast<int>(batch.requests.size());
    for (const ReplayRequest& request : batch.requests) {
      EXPECT_EQ(request.name_space, batch.name_space);
      EXPECT_TRUE(seen.insert(request.key).second) << request.key;
    }
  }
  EXPECT_THAT(seen, SizeIs(1000));
  for (const int count : by_region) EXPECT_GT(count, 250);
}

TEST(ReplayBatchesTest, EveryRegionGetsAllRequestsInOrderWithEach) {
  NumberedSource source(100);
  ReplayBatches batches(source, {.regions = 2, .batch = 7, .spread = ReplaySpread::kEach});
  std::map<std::pair<size_t, uint8_t>, std::vector<uint64_t>> keys;
  ReplayBatch batch;
  while (batches.Take(&batch)) {
    for (const ReplayRequest& request : batch.requests) {
      keys[{batch.region, batch.name_space}].push_back(request.key);
    }
  }
  ASSERT_THAT(keys, SizeIs(4));
  for (const auto& [where, list] : keys) {
    ASSERT_THAT(list, SizeIs(50));
    for (size_t i = 0; i < list.size(); ++i) EXPECT_EQ(list[i], 2 * i + where.second);
  }
}

TEST(ReplayBatchesTest, LargeValuesMakeSmallBatchesAndTheLimitHolds) {
  NumberedSource source(1000);
  ReplayBatches batches(source, {.batch = 100, .max_bytes = 30, .limit = 60});
  ReplayBatch batch;
  size_t total = 0;
  while (batches.Take(&batch)) {
    EXPECT_EQ(batch.requests.size(), 3u);
    total += batch.requests.size();
  }
  EXPECT_EQ(total, 60u);
}

TEST(CompareKeyTest, RegionsAgreeOnVersionAndValueOrTheEntryIsAboutToExpire) {
  GetResult hit = Hit("v", Version{1, 1});
  hit.ttl = absl::Minutes(1);
  GetResult newer = hit;
  newer.version = Version{2, 1};
  GetResult other = hit;
  other.value = "w";
  GetResult expiring = hit;
  expiring.ttl = absl::Seconds(1);
  const GetResult miss{.status = ResultStatus::kMiss};
  const GetResult error{.status = ResultStatus::kError};
  EXPECT_EQ(CompareKey({&hit, &hit, &hit}), RegionsAgree::kYes);
  EXPECT_EQ(CompareKey({&miss, &miss}), RegionsAgree::kYes);
  EXPECT_EQ(CompareKey({&hit, &newer}), RegionsAgree::kNo);
  EXPECT_EQ(CompareKey({&hit, &other}), RegionsAgree::kNo);
  EXPECT_EQ(CompareKey({&miss, &hit}), RegionsAgree::kNo);
  EXPECT_EQ(CompareKey({&miss, &expiring}), RegionsAgree::kExpiring);
  EXPECT_EQ(CompareKey({&hit, &error}), RegionsAgree::kNo);
}

TEST(LatencySamplesTest, PercentilesAreExact) {
  LatencySamples samples;
  EXPECT_EQ(samples.Percentile(0.99), 0);
  for (int i = 100; i > 0; --i) samples.Add(absl::Microseconds(i));
  EXPECT_EQ(samples.Percentile(0.50), 50);
  EXPECT_EQ(samples.Percentile(0.99), 99);
  EXPECT_EQ(samples.Percentile(1.0), 100);
}

TEST(ReplayReportTest, BytesOfAnOriginAreExplainedWithWhatToDo) {
  ReplayReport report;
  report.stats.mismatches.Add("NEVER_WRITTEN", "x");
  EXPECT_THAT(report.ToText(), testing::Not(HasSubstr("without --origin")));
  report.stats.mismatches.Add(kForeignBytes, "x");
  EXPECT_THAT(report.ToText(), HasSubstr("scripts/local-cluster up, without --origin"));
}

TEST(ReplayReportTest, OnlyARunWithoutProblemsIsGood) {
  ReplayReport report;
  report.regions = {"us"};
  report.stats.regions.resize(1);
  report.elapsed = absl::Seconds(1);
  EXPECT_TRUE(report.Good());
  report.stats.mismatches.Add("older", "task 'x'");
  report.stats.mismatches.Add("older", "task 'y'");
  EXPECT_FALSE(report.Good());
  EXPECT_THAT(report.ToText(), HasSubstr("2 x older, for example task 'x'"));
  EXPECT_EQ(report.ToJson()["mismatches"], 2);
}

}  // namespace
}  // namespace meridian::cli
