// Staleness as real nodes measure it, and an invalidation that is undone behind their back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr char kSpace[] = "persona";

class StalenessCallTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_ = StartTestCluster(
        {.regions = {"us", "eu"}, .nodes = 2, .node_flags = {"--staleness-one-in=1"}});
    ASSERT_NE(cluster_, nullptr);
    us_ = cluster_->NewClient("us");
  }
  nlohmann::json Staleness() {
    const CommandResult result = RunCommand(
        {ProgramPath("meridianctl"), "staleness", "--json", "--cluster", cluster_->file()},
        absl::Seconds(30));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  // Of the region, 1 s after the changes; 0 samples: none yet.
  static std::pair<double, uint64_t> WithinASecond(const nlohmann::json& report,
                                                   const std::string& region) {
    for (const nlohmann::json& bound : report.value("bounds", nlohmann::json::array())) {
      if (bound["region"] == region && bound["within"] == "1s") {
        return {bound.value("correct_ratio", 0.0), bound.value("samples", uint64_t{0})};
      }
    }
    return {0, 0};
  }
  std::string Redis(std::vector<std::string> words) {
    const std::string address = cluster_->Address("us-redis", "redis");
    words.insert(words.begin(), {"redis-cli", "-p", address.substr(address.rfind(':') + 1)});
    return RunCommand(words, absl::Seconds(10)).out;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
};

TEST_F(StalenessCallTest, IsMeasuredInEveryRegionAndAnInvalidationThatIsUndoneIsAnIncident) {
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(us_->Set(kSpace, absl::StrCat("k", i), "v").ok());
    absl::SleepFor(absl::Milliseconds(600));  // A node follows two a second.
  }
  EXPECT_TRUE(WaitUntil(
      [&] {
        const nlohmann::json report = Staleness();
        // Of each change the owner and the store, and eu's store once more by us.
        return WithinASecond(report, "us").second >= 8 && WithinASecond(report, "eu").second >= 12;
      },
      absl::Seconds(20)));
  nlohmann::json report = Staleness();
  EXPECT_EQ(WithinASecond(report, "us").first, 1.0) << report;
  EXPECT_EQ(WithinASecond(report, "eu").first, 1.0) << report;
  EXPECT_FALSE(report.contains("incidents") && !report["incidents"].empty()) << report;

  // A fence is followed, too: all four nodes and both stores have it.
  ASSERT_TRUE(us_->InvalidateTag(kSpace, "red").ok());
  EXPECT_TRUE(WaitUntil(
      [&] {
        report = Staleness();
        return report.value("fences_sampled_total", uint64_t{0}) >= 2;  // Each region's.
      },
      absl::Seconds(20)));
  const uint64_t looks = WithinASecond(report, "us").second;
  EXPECT_TRUE(WaitUntil([&] { return WithinASecond(report = Staleness(), "us").second > looks; },
                        absl::Seconds(20)));
  EXPECT_FALSE(report.contains("incidents") && !report["incidents"].empty()) << report;

  // A delete that the store forgets: what was there before is put back.
  const uint32_t slot = SlotOf(kSpace, "k0");
  const std::string key = absl::StrCat("m:{", slot, "}:e:", kSpace, ":k0");
  const std::string kept = absl::StrCat("m:{", slot, "}:kept");
  ASSERT_EQ(Redis({"COPY", key, kept}), "1\n");
  ASSERT_TRUE(us_->Invalidate(kSpace, "k0").ok());
  ASSERT_EQ(Redis({"COPY", kept, key, "REPLACE"}), "1\n");
  EXPECT_TRUE(WaitUntil(
      [&] {
        report = Staleness();
        return report.contains("incidents") && !report["incidents"].empty();
      },
      absl::Seconds(20)))
      << report << "\n"
      << Redis({"XREVRANGE", absl::StrCat("m:{", slot, "}:log"), "+", "-", "COUNT", "3"});
  ASSERT_FALSE(report["incidents"].empty());
  const nlohmann::json& incident = report["incidents"][0];
  EXPECT_EQ(incident["region"], "us");
  EXPECT_EQ(incident["place"], "redis");
  EXPECT_EQ(incident["slot"], slot);
  EXPECT_EQ(incident["cause"], "REDIS_WENT_BACK");

  const CommandResult people =
      RunCommand({ProgramPath("meridianctl"), "staleness", kSpace, "--cluster", cluster_->file()},
                 absl::Seconds(30));
  EXPECT_THAT(people.out, testing::HasSubstr("REDIS_WENT_BACK"));
  EXPECT_THAT(people.out, testing::HasSubstr("nine"));
}

// The entry of one change is taken out of the changelog before anybody has read it: no node hears
// of the change, and the other region keeps what was before.
TEST_F(StalenessCallTest, AChangeThatTheChangelogHasLostIsAnIncidentAllTheSame) {
  const std::unique_ptr<Client> eu = cluster_->NewClient("eu");
  constexpr int kTries = 30;  // Nodes read the changelog every 10 to 20 ms: some come first.
  const auto key = [](int i) { return absl::StrCat("lost", i); };
  for (int i = 0; i < kTries; ++i) ASSERT_TRUE(us_->Set(kSpace, key(i), "old").ok());
  for (int i = 0; i < kTries; ++i) {
    ASSERT_TRUE(
        WaitUntil([&] { return eu->Get(kSpace, key(i)).value == "old"; }, absl::Seconds(20)));
  }
  std::string lost;
  for (int i = 0; i < kTries && lost.empty(); ++i) {
    // A node follows two in a second of its clock, and those are gone where many were written.
    absl::SleepFor(absl::Milliseconds(1100));
    const std::string log = absl::StrCat("m:{", SlotOf(kSpace, key(i)), "}:log");
    ASSERT_TRUE(us_->Set(kSpace, key(i), "new").ok());
    ASSERT_EQ(Redis({"EVAL",
                     "return redis.call('XDEL', KEYS[1],"
                     " redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1])",
                     "1", log}),
              "1\n");
    const auto arrived = [&] { return eu->Get(kSpace, key(i)).value == "new"; };
    if (WaitUntil(arrived, absl::Seconds(1))) continue;
    // Or is it slow? The next one is tried then.
    if (!WaitUntil(arrived, absl::Seconds(10))) lost = key(i);
  }
  ASSERT_FALSE(lost.empty()) << "every entry was read before it could be taken out";
  nlohmann::json report;
  EXPECT_TRUE(WaitUntil(
      [&] {
        report = Staleness();
        return report.contains("incidents") && !report["incidents"].empty();
      },
      absl::Seconds(30)))
      << "nobody looked for " << lost;
  ASSERT_TRUE(report.contains("incidents") && report["incidents"].size() == 1) << report;
  const nlohmann::json& incident = report["incidents"][0];
  EXPECT_EQ(incident["region"], "eu");
  EXPECT_EQ(incident["place"], "redis");
  EXPECT_EQ(incident["key"], lost);
  EXPECT_EQ(incident["slot"], SlotOf(kSpace, lost));
  EXPECT_EQ(incident["cause"], "CHANGE_MISSED");
  double incidents = 0;
  for (const char* node : {"us-node-1", "us-node-2"}) {
    incidents += FetchMetric(cluster_->Address(node, "http"), "meridian_staleness_incidents_total");
  }
  EXPECT_EQ(incidents, 1);
}

// Two nodes and a Redis. What n0 says to n1, and what n1 hears of Redis, goes through proxies.
class StalenessOfANodeTest : public testing::Test {
 protected:
  void SetUp() override {
    auto redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
    const std::vector<std::string> data = {FreeAddress(), FreeAddress()};
    const std::vector<std::string> peer = {FreeAddress(), FreeAddress()};
    peer_proxy_ = Proxy(peer[1]);
    redis_proxy_ = Proxy(absl::StrCat("127.0.0.1:", redis_->port()));
    ASSERT_TRUE(peer_proxy_ != nullptr && redis_proxy_ != nullptr);
    const std::string peers =
        absl::StrCat("n0=", data[0], "/", peer[0], ",n1=", data[1], "/", peer_proxy_->address());
    for (size_t i = 0; i < 2; ++i) {
      auto node = TestNode::Start(
          absl::StrCat("n", i),
          {"--data-address", data[i], "--peer-address", peer[i], "--peers", peers, "--redis",
           i == 0 ? redis_->url() : absl::StrCat("redis://", redis_proxy_->address()),
           "--staleness-one-in", "1"});
      ASSERT_TRUE(node.ok()) << node.status();
      nodes_.push_back(*std::move(node));
      stubs_.push_back(NewStub<cache::v1::CacheService>(nodes_[i]->data()));
    }
    admin_ = NewStub<admin::v1::AdminService>(nodes_[0]->admin());
  }
  static std::unique_ptr<FaultProxyProcess> Proxy(const std::string& target) {
    auto proxy = FaultProxyProcess::Start(target);
    EXPECT_TRUE(proxy.ok()) << proxy.status();
    return proxy.ok() ? *std::move(proxy) : nullptr;
  }
  std::string OwnerOf(const std::string& key) {
    admin::v1::ExplainKeyRequest request;
    request.mutable_key()->set_namespace_(calls::kSpace);
    request.mutable_key()->set_key(key);
    admin::v1::ExplainKeyResponse response;
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    const grpc::Status status = admin_->ExplainKey(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.owner();
  }
  // As n0 has measured it.
  admin::v1::GetStalenessResponse Staleness() {
    admin::v1::GetStalenessResponse response;
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    const grpc::Status status = admin_->GetStaleness(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }

  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<FaultProxyProcess> peer_proxy_;
  std::unique_ptr<FaultProxyProcess> redis_proxy_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
  std::vector<std::unique_ptr<calls::Stub>> stubs_;
  std::unique_ptr<admin::v1::AdminService::Stub> admin_;
};

TEST_F(StalenessOfANodeTest, AnInvalidationThatAnOwnerDoesNotHearOfIsAnIncidentThatNamesTheNode) {
  std::string key;
  for (int i = 0; key.empty(); ++i) {
    if (OwnerOf(absl::StrCat("k", i)) == "n1") key = absl::StrCat("k", i);
  }
  const auto value_at_owner = [&] { return calls::GetAll(*stubs_[1], {key}).entries(0).value(); };
  calls::SetAll(*stubs_[0], {key}, "old");
  ASSERT_EQ(value_at_owner(), "old");

  // n0 cannot reach the owner and invalidates around it; the owner hears nothing of Redis.
  ASSERT_TRUE(redis_proxy_->Set("cut=on").ok());
  ASSERT_TRUE(peer_proxy_->Set("refuse=on").ok());
  cache::v1::InvalidateRequest request;
  request.set_namespace_(calls::kSpace);
  request.set_key(key);
  cache::v1::InvalidateResponse response;
  grpc::ClientContext context;
  calls::SetDeadline(&context);
  const grpc::Status status = stubs_[0]->Invalidate(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_TRUE(peer_proxy_->Set("clear").ok());

  admin::v1::GetStalenessResponse report;
  EXPECT_TRUE(WaitUntil(
      [&] {
        report = Staleness();
        return report.incidents_size() > 0;
      },
      absl::Seconds(20)));
  ASSERT_EQ(report.incidents_size(), 1) << report.DebugString();
  const admin::v1::StalenessIncident& incident = report.incidents(0);
  EXPECT_EQ(incident.place(), "n1");
  EXPECT_EQ(incident.slot(), SlotOf(calls::kSpace, key));
  EXPECT_EQ(incident.key(), key);
  EXPECT_EQ(incident.cause(), "CHANGE_MISSED");
  EXPECT_FALSE(incident.over());
  EXPECT_EQ(value_at_owner(), "old") << "it is so";
  EXPECT_EQ(FetchMetric(nodes_[0]->http(), "meridian_staleness_incidents_total"), 1);

  ASSERT_TRUE(redis_proxy_->Set("clear").ok());
  EXPECT_TRUE(WaitUntil([&] { return value_at_owner().empty(); }, absl::Seconds(20)));
}

}  // namespace
}  // namespace meridian
