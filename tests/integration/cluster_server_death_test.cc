// One of the three servers of a region's Redis Cluster dies: what it kept is away until it is back,
// and everything else goes on, within the region and between regions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "task";
constexpr int kKeys = 60;
// The server that keeps no slot of fences: near caches need to know all of these.
constexpr char kVictim[] = "us-redis-2";
constexpr absl::Duration kPatience = absl::Seconds(60);

class ClusterServerDeathTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster({.regions = {"us", "eu"}, .nodes = 2, .redis = "us=cluster"});
    ASSERT_NE(cluster_, nullptr);
    ClientOptions patient;
    patient.get_timeout = patient.set_timeout = absl::Seconds(1);
    us_ = cluster_->NewClient("us", patient);
    eu_ = cluster_->NewClient("eu", patient);
    patient.near_cache_bytes = size_t{8} << 20;
    near_us_ = cluster_->NewClient("us", patient);
  }
  static std::string Key(int i) { return absl::StrCat("k", i); }
  // The keys whose value in the region is `value`.
  static std::set<int> Holding(Client& client, const std::string& value) {
    std::vector<std::string> names;
    for (int i = 0; i < kKeys; ++i) names.push_back(Key(i));
    const std::vector<std::string_view> keys(names.begin(), names.end());
    const std::vector<GetResult> results = client.BatchGet(kSpace, keys);
    std::set<int> holding;
    for (int i = 0; i < kKeys; ++i) {
      if (results[static_cast<size_t>(i)].value == value) holding.insert(i);
    }
    return holding;
  }
  // Whether the near cache comes to serve all of these.
  bool ServedNear(const std::set<int>& keys, const std::string& value) {
    return WaitUntil(
        [&] {
          return std::all_of(keys.begin(), keys.end(), [&](int i) {
            const GetResult result = near_us_->Get(kSpace, Key(i));
            return result.source == ResultSource::kNear && result.value == value;
          });
        },
        kPatience);
  }
  // Returns the keys that were written.
  static std::set<int> SetAll(Client& client, const std::string& value) {
    std::set<int> written;
    for (int i = 0; i < kKeys; ++i) {
      if (client.Set(kSpace, Key(i), value).ok()) written.insert(i);
    }
    return written;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
  std::unique_ptr<Client> near_us_;  // Has a near cache.
};

TEST_F(ClusterServerDeathTest, StopsWhatItKeptAndNothingElse) {
  ASSERT_EQ(SetAll(*us_, "1").size(), static_cast<size_t>(kKeys));
  ASSERT_TRUE(WaitUntil([&] { return Holding(*eu_, "1").size() == kKeys; }, kPatience));
  ASSERT_EQ(Holding(*us_, "1").size(), static_cast<size_t>(kKeys));
  std::set<int> all;
  for (int i = 0; i < kKeys; ++i) all.insert(i);
  EXPECT_TRUE(ServedNear(all, "1"));

  cluster_->Kill(kVictim);
  std::set<int> served;  // Of the two others.
  ASSERT_TRUE(WaitUntil(
      [&] {
        served = SetAll(*us_, "2");
        return served.size() > kKeys / 3 && served.size() < kKeys;
      },
      kPatience));
  EXPECT_TRUE(WaitUntil([&] { return Holding(*eu_, "2") == served; }, kPatience))
      << "to the other region";
  // From the other region, into L1 of the owners here.
  ASSERT_EQ(SetAll(*eu_, "3").size(), static_cast<size_t>(kKeys));
  EXPECT_TRUE(WaitUntil([&] { return Holding(*us_, "3") == served; }, kPatience))
      << "from the other region";
  EXPECT_TRUE(ServedNear(served, "3")) << "what its owners hear of";
  for (const int i : all) {
    if (served.count(i) > 0) continue;
    EXPECT_NE(near_us_->Get(kSpace, Key(i)).source, ResultSource::kNear) << Key(i);
    break;  // Each takes a second.
  }

  cluster_->Restart(kVictim);
  EXPECT_TRUE(WaitUntil([&] { return Holding(*us_, "3").size() == kKeys; }, kPatience))
      << Holding(*us_, "3").size() << " of " << kKeys;
  EXPECT_TRUE(ServedNear(all, "3"));
}

}  // namespace
}  // namespace meridian
