#include "server/node/access_sampler.h"

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(AccessSamplerTest, TakesAllReadsOfSomeCallersTheSameAtEveryNode) {
  const AccessSampler here(8);
  const AccessSampler there(8);
  int sampled = 0;
  for (int i = 0; i < 8000; ++i) {
    const uint64_t caller = AccessSampler::CallerOf(absl::StrCat("user-", i));
    EXPECT_EQ(here.IsSampled(caller), there.IsSampled(caller));
    sampled += here.IsSampled(caller) ? 1 : 0;
  }
  EXPECT_NEAR(sampled, 1000, 150);
  EXPECT_TRUE(AccessSampler(1).IsSampled(AccessSampler::CallerOf("anybody")));
}

TEST(AccessSamplerTest, GivesWhatItTookOnceInOrder) {
  AccessSampler sampler(1);
  const std::vector<std::string_view> keys = {"a", "b"};
  sampler.Add(7, "task", keys, absl::Seconds(1));
  sampler.Add(8, "user", {&keys[0], 1}, absl::Seconds(2));
  const std::vector<SampledAccess> taken = sampler.Take();
  ASSERT_EQ(taken.size(), 3u);
  EXPECT_EQ(taken[1].key, "b");
  EXPECT_EQ(taken[2].name_space, "user");
  EXPECT_EQ(taken[2].caller, 8u);
  EXPECT_EQ(taken[2].at, absl::Seconds(2));
  EXPECT_TRUE(sampler.Take().empty());
}

TEST(AccessSamplerTest, WhenThereAreTooManyFewerCallersAreSampledAndMoreAgainLater) {
  AccessSampler sampler(2);
  const std::string_view key = "k";
  for (size_t i = 0; i < AccessSampler::kMaxKept + 10; ++i) {
    sampler.Add(8, "task", {&key, 1}, absl::Seconds(1));
  }
  EXPECT_EQ(sampler.Take().size(), AccessSampler::kMaxKept);
  EXPECT_EQ(sampler.callers_per_sample(), 4u);
  EXPECT_FALSE(sampler.IsSampled(2));
  sampler.Take();
  EXPECT_EQ(sampler.callers_per_sample(), 2u);
  sampler.Take();
  EXPECT_EQ(sampler.callers_per_sample(), 2u) << "as many as it was told, at most";
  const std::string large(200'000, 'x');
  const std::string_view view = large;
  sampler.Add(8, "task", {&view, 1}, absl::Seconds(1));
  sampler.Add(8, "task", {&view, 1}, absl::Seconds(1));
  EXPECT_EQ(sampler.Take().size(), 1u);
}

}  // namespace
}  // namespace meridian
