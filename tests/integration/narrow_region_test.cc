// A way to another region that is narrower than a value takes before a silence counts: real nodes,
// real Redises, and a proxy between them.

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"
#include "tests/support/redis_process.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr size_t kValueBytes = 7'500'000;  // 15 s at 500 KiB/s; --l2-timeout is 1 s.
const std::string kScheme = "redis://";

class NarrowRegionTest : public testing::Test {
 protected:
  void SetUp() override {
    for (auto* redis : {&us_redis_, &eu_redis_}) {
      auto started = RedisProcess::Start();
      ASSERT_TRUE(started.ok()) << std::string(started.status().message());
      *redis = *std::move(started);
    }
    auto way = FaultProxyProcess::Start(eu_redis_->url().substr(kScheme.size()));
    ASSERT_TRUE(way.ok()) << std::string(way.status().message());
    way_ = *std::move(way);
    us_ = StartNode("us", us_redis_->url(), absl::StrCat("eu=", kScheme, way_->address()));
    eu_ = StartNode("eu", eu_redis_->url(), absl::StrCat("us=", us_redis_->url()));
    ASSERT_TRUE(us_ != nullptr && eu_ != nullptr);
    us_stub_ = NewStub<cache::v1::CacheService>(us_->data());
    eu_stub_ = NewStub<cache::v1::CacheService>(eu_->data());
    Set("first", "v");
    ASSERT_TRUE(WaitUntil([&] { return Has("first"); }, absl::Seconds(15)));
    ASSERT_TRUE(way_->Set("up.rate=500KiB").ok());
  }
  static std::unique_ptr<TestNode> StartNode(const std::string& region, const std::string& own,
                                             const std::string& other) {
    auto node = TestNode::Start(region + "-1",
                                {"--region", region, "--redis", own, "--region-redis", other});
    EXPECT_TRUE(node.ok()) << std::string(node.status().message());
    return node.ok() ? *std::move(node) : nullptr;
  }
  void Set(const std::string& key, std::string value) {
    cache::v1::SetEntry entry;
    entry.set_key(key);
    entry.set_value(std::move(value));
    entry.set_ttl_ms(3'600'000);
    EXPECT_EQ(calls::SetOne(*us_stub_, entry).status(), cache::v1::ENTRY_STATUS_OK);
  }
  bool Has(const std::string& key) {
    return calls::GetAll(*eu_stub_, {key}).entries(0).status() == cache::v1::ENTRY_STATUS_OK;
  }
  size_t Sent() {
    const auto status = way_->Status();
    return status.ok() ? (*status)["bytes_up"].get<size_t>() : 0;
  }

  std::unique_ptr<RedisProcess> us_redis_;
  std::unique_ptr<RedisProcess> eu_redis_;
  std::unique_ptr<FaultProxyProcess> way_;  // Of us to the Redis of eu.
  std::unique_ptr<TestNode> us_;
  std::unique_ptr<TestNode> eu_;
  std::unique_ptr<cache::v1::CacheService::Stub> us_stub_;
  std::unique_ptr<cache::v1::CacheService::Stub> eu_stub_;
};

TEST_F(NarrowRegionTest, ALargeValueCrossesOnce) {
  const size_t before = Sent();
  const absl::Time start = absl::Now();
  Set("large", std::string(kValueBytes, 'x'));
  Set("small", "v");
  EXPECT_TRUE(WaitUntil([&] { return Has("large") && Has("small"); }, absl::Seconds(60)));
  EXPECT_GT(absl::Now() - start, absl::Seconds(10)) << "so the test tests";
  printf("crossed after %.1f s\n", absl::ToDoubleSeconds(absl::Now() - start));
  // And nothing large is sent again behind our back.
  Set("after", "v");
  EXPECT_TRUE(WaitUntil([&] { return Has("after"); }, absl::Seconds(60)));
  printf("%zu bytes sent\n", Sent() - before);
  EXPECT_LT(Sent() - before, 2 * kValueBytes);
}

}  // namespace
}  // namespace meridian
