// L2StoreContractTest is the fixture of the suites that every L2Store passes.

#ifndef MERIDIAN_TESTS_CONTRACT_L2_STORE_CONTRACT_H_
#define MERIDIAN_TESTS_CONTRACT_L2_STORE_CONTRACT_H_

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/hash.h"
#include "gtest/gtest.h"
#include "server/node/record.h"
#include "tests/contract/l2_store_harness.h"

namespace meridian {

inline constexpr uint16_t kHere = 7;
inline constexpr uint16_t kElsewhere = 9;

class L2StoreContractTest : public ::testing::TestWithParam<L2Backend> {
 protected:
  void SetUp() override { harness_ = L2StoreHarness::Create(GetParam()); }

  // A version `n` milliseconds after an arbitrary moment.
  Version V(int n, uint16_t region = kHere) const {
    return Version{(uint64_t{1'700'000'000'000} + static_cast<uint64_t>(n)) << 16, region};
  }
  static L2Key Key(std::string key, std::string name_space = "task") {
    const uint32_t slot = SlotOf(name_space, key);
    return {slot, std::move(name_space), std::move(key)};
  }
  L2Write Put(L2Key key, Version version, std::string_view value,
              absl::Duration ttl = absl::Hours(1)) const {
    return Write(std::move(key), version, RecordKind::kValue, value, ttl);
  }
  L2Write Delete(L2Key key, Version version) const {
    return Write(std::move(key), version, RecordKind::kTombstone, "", absl::Hours(1));
  }
  L2Write Touch(L2Key key, Version version, absl::Duration ttl) const {
    L2Write write;
    write.key = std::move(key);
    write.kind = L2WriteKind::kTouch;
    write.version = version;
    write.expires_at = harness_->Now() + ttl;
    write.retention = ttl;
    return write;
  }
  L2Write Write(L2Key key, Version version, RecordKind kind, std::string_view value,
                absl::Duration ttl) const {
    L2Write write;
    write.key = std::move(key);
    write.version = version;
    // Whole milliseconds, as records hold.
    write.expires_at = absl::FromUnixMillis(absl::ToUnixMillis(harness_->Now() + ttl));
    write.retention = std::max(ttl, absl::Milliseconds(1)) + absl::Minutes(1);
    Record record;
    record.version = version;
    record.expires_at = write.expires_at;
    record.kind = kind;
    record.value = value;
    AppendRecord(record, &write.record);
    return write;
  }
  static L2Write If(L2Write write, L2Condition condition, Version expected = Version()) {
    write.condition = condition;
    write.expected_version = expected;
    return write;
  }

  L2WriteResult ApplyOne(L2Write write) {
    std::vector<L2Write> writes;
    writes.push_back(std::move(write));
    return harness_->Apply(std::move(writes)).front();
  }
  L2WriteOutcome Outcome(L2Write write) {
    const L2WriteResult result = ApplyOne(std::move(write));
    EXPECT_TRUE(result.status.ok()) << result.status;
    return result.outcome;
  }
  std::string FetchBytes(const L2Key& key) {
    const std::vector<L2Record> records = harness_->Fetch({key});
    EXPECT_TRUE(records[0].status.ok()) << records[0].status;
    return std::string(records[0].record.view());
  }
  // The value, "(none)" or "(tombstone)".
  std::string FetchValue(const L2Key& key) {
    const std::string bytes = FetchBytes(key);
    if (bytes.empty()) return "(none)";
    const absl::StatusOr<Record> record = ParseRecord(bytes);
    EXPECT_TRUE(record.ok()) << record.status();
    if (!record.ok()) return "(malformed)";
    return record->kind == RecordKind::kTombstone ? "(tombstone)" : std::string(record->value);
  }
  std::vector<LogEntry> LogOf(uint32_t slot, LogPosition after = {}, size_t limit = 1000) {
    const auto slices = harness_->ReadLogs({{slot, after}}, limit);
    EXPECT_TRUE(slices.ok()) << slices.status();
    return slices.ok() && !slices->empty() ? slices->front().entries : std::vector<LogEntry>();
  }

  std::unique_ptr<L2StoreHarness> harness_;
};

TEST_P(L2StoreContractTest, TellsItsTime) {
  const absl::StatusOr<absl::Time> time = harness_->ServerTime();
  ASSERT_TRUE(time.ok()) << time.status();
  EXPECT_LT(absl::AbsDuration(*time - harness_->Now()), absl::Minutes(1));
}

inline std::string L2BackendName(const ::testing::TestParamInfo<L2Backend>& backend) {
  switch (backend.param) {
    case L2Backend::kFake:
      return "Fake";
    case L2Backend::kRedis:
      return "Redis";
    case L2Backend::kCluster:
      return "Cluster";
  }
  return "";
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_L2_STORE_CONTRACT_H_
