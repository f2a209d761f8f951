// A regional Redis that is away takes its region's writes with it, clearly said, and nothing else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::AnyOf;
using testing::Eq;

constexpr char kSpace[] = "task";
constexpr absl::Duration kTimeout = absl::Seconds(3);
constexpr absl::Duration kRecovery = absl::Seconds(40);  // Of breaker and links.

std::string Why(const std::shared_ptr<const ResultError>& error) {
  return error == nullptr ? "no error" : absl::StrCat(error->reason, ": ", error->message);
}

class RedisFailureTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu"}, .node_flags = {"--l2-timeout=500ms"}});
    ASSERT_NE(cluster_, nullptr);
    ClientOptions options;
    options.get_timeout = options.set_timeout = options.batch_timeout = kTimeout;
    us_ = cluster_->NewClient("us", options);
    eu_ = cluster_->NewClient("eu", options);
  }

  // Keys that are in the memory of their owners in both regions.
  std::vector<std::string> WarmKeys(int count) {
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(absl::StrCat("warm:", i));
      EXPECT_TRUE(us_->Set(kSpace, keys.back(), "old").ok());
    }
    for (Client* client : {us_.get(), eu_.get()}) {
      for (const std::string& key : keys) {
        EXPECT_TRUE(WaitUntil([&] { return client->Get(kSpace, key).source == ResultSource::kL1; },
                              kRecovery));
      }
    }
    return keys;
  }

  static void ExpectL2Reason(const std::shared_ptr<const ResultError>& error) {
    ASSERT_NE(error, nullptr);
    EXPECT_EQ(error->code, absl::StatusCode::kUnavailable) << Why(error);
    EXPECT_THAT(error->reason, AnyOf(Eq("L2_UNAVAILABLE"), Eq("L2_CIRCUIT_OPEN"))) << Why(error);
    EXPECT_FALSE(error->message.empty());
  }

  double UsMetric(const std::string& name) const {
    return FetchMetric(cluster_->Address("us-node-1", "http"), name, {"region=\"us\""});
  }

  bool WritesWork(Client& client, const std::string& key) const {
    return WaitUntil([&] { return client.Set(kSpace, key, "works").ok(); }, kRecovery,
                     absl::Milliseconds(50));
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_F(RedisFailureTest, AKilledRedisStopsTheWritesOfItsRegionOnly) {
  const std::vector<std::string> keys = WarmKeys(40);
  ASSERT_EQ(UsMetric("meridian_l2_up"), 1);
  cluster_->Kill("us-redis");

  for (const std::string& key : keys) {
    const GetResult read = us_->Get(kSpace, key);
    EXPECT_EQ(read.value, "old") << Why(read.error);
    EXPECT_EQ(read.source, ResultSource::kL1);
  }
  for (int i = 0; i < 20; ++i) {
    const WriteResult write = us_->Set(kSpace, absl::StrCat("refused:", i), "x");
    ASSERT_EQ(write.status, ResultStatus::kError);
    ExpectL2Reason(write.error);
    const GetResult cold = us_->Get(kSpace, absl::StrCat("cold:", i));
    ASSERT_EQ(cold.status, ResultStatus::kError) << "nobody can know that it is a miss";
    ExpectL2Reason(cold.error);
    EXPECT_TRUE(eu_->Set(kSpace, absl::StrCat("other region:", i), "fine").ok());
    EXPECT_EQ(eu_->Get(kSpace, keys[static_cast<size_t>(i)]).value, "old");
  }
  EXPECT_TRUE(WaitUntil([&] { return UsMetric("meridian_l2_up") == 0; }, kRecovery));
  EXPECT_GT(UsMetric("meridian_l2_errors_total"), 0);
  const absl::StatusOr<HttpPage> ready =
      HttpGet(cluster_->Address("us-node-1", "http"), "/readyz");
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(ready->code, 200) << "readiness never depends on Redis: " << ready->body;

  // While it is away, eu deletes one half and rewrites the other.
  for (size_t i = 0; i < keys.size(); ++i) {
    EXPECT_TRUE((i % 2 == 0 ? eu_->Invalidate(kSpace, keys[i]) : eu_->Set(kSpace, keys[i], "new"))
                    .ok());
  }
  cluster_->Restart("us-redis");  // Empty.
  EXPECT_TRUE(WritesWork(*us_, "again"));
  EXPECT_TRUE(WaitUntil([&] { return UsMetric("meridian_l2_up") == 1; }, kRecovery));
  EXPECT_TRUE(WaitUntil([&] { return eu_->Get(kSpace, "again").value == "works"; }, kRecovery))
      << "us to eu does not resume";
  ASSERT_TRUE(eu_->Set(kSpace, "back", "1").ok());
  EXPECT_TRUE(WaitUntil([&] { return us_->Get(kSpace, "back").value == "1"; }, kRecovery))
      << "eu to us does not resume";

  for (size_t i = 0; i < keys.size(); ++i) {
    const std::string wanted = i % 2 == 0 ? "" : "new";
    GetResult read;
    EXPECT_TRUE(WaitUntil(
        [&] {
          read = us_->Get(kSpace, keys[i]);
          return read.status != ResultStatus::kError && read.value == wanted;
        },
        kRecovery))
        << keys[i] << " is '" << read.value << "' in us, not '" << wanted << "' "
        << Why(read.error);
    const GetResult other = eu_->Get(kSpace, keys[i]);
    EXPECT_NE(other.status, ResultStatus::kError) << Why(other.error);
    EXPECT_EQ(other.value, wanted) << keys[i] << " in eu";
  }
}

TEST_F(RedisFailureTest, AFrozenRedisIsLeftAloneAfterAWhileAndUsedAgainWhenItWakes) {
  const std::vector<std::string> keys = WarmKeys(20);
  cluster_->Stop("us-redis");
  std::set<std::string> reasons;
  const bool opened = WaitUntil(
      [&] {
        // In one batch, because each waits for Redis as long as it may.
        std::vector<SetItem> items;
        for (int i = 0; i < 30; ++i) items.push_back({.key = absl::StrCat("frozen:", i), .value = "x",
                                                      .tags = {}, .expected_version = {},
                                                      .state_hint = {}});
        const absl::Time began = absl::Now();
        for (const WriteResult& result : us_->BatchSet(kSpace, std::move(items))) {
          EXPECT_EQ(result.status, ResultStatus::kError);
          if (result.error != nullptr) reasons.insert(result.error->reason);
        }
        EXPECT_LT(absl::Now() - began, kTimeout + absl::Seconds(1)) << "beyond the deadline";
        const GetResult read = us_->Get(kSpace, keys[0]);
        EXPECT_EQ(read.value, "old") << Why(read.error);
        return UsMetric("meridian_l2_circuit_state") != 0;
      },
      kRecovery);
  EXPECT_TRUE(opened) << "the breaker does not open";
  EXPECT_THAT(reasons, testing::IsSubsetOf({"L2_UNAVAILABLE", "L2_CIRCUIT_OPEN",
                                            "DEADLINE_EXCEEDED", "OVERLOADED"}));
  EXPECT_TRUE(eu_->Set(kSpace, "meanwhile", "fine").ok());

  cluster_->Cont("us-redis");
  EXPECT_TRUE(WritesWork(*us_, "awake"));
  EXPECT_TRUE(WaitUntil([&] { return UsMetric("meridian_l2_circuit_state") == 0; }, kRecovery,
                        absl::Milliseconds(50)));
  EXPECT_TRUE(WaitUntil([&] { return us_->Get(kSpace, "meanwhile").value == "fine"; }, kRecovery));
  EXPECT_TRUE(WaitUntil([&] { return eu_->Get(kSpace, "awake").value == "works"; }, kRecovery));
}

}  // namespace
}  // namespace meridian
