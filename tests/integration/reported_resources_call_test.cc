// What a node uses beside L1, with real processes: the memory of its Redis and the certificates
// that it reaches it with, the same in its report, its metrics and the JSON of its region.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "tests/integration/http_json.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kLimit = absl::Seconds(60);

admin::v1::GetFiguresResponse FiguresOf(const std::string& admin) {
  const auto stub = NewStub<admin::v1::AdminService>(admin);
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(10)));
  admin::v1::GetFiguresResponse response;
  const grpc::Status status = stub->GetFigures(&context, {}, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response;
}

TEST(ReportedResourcesCallTest, MemoryOfRedisAndCertificatesAreTheSameEverywhere) {
  const auto cluster = StartTestCluster(
      {.regions = {"us"}, .nodes = 1, .redis_tls = true, .redis_maxmemory = "100mb"});
  ASSERT_NE(cluster, nullptr);
  const std::string node = cluster->Address("us-node-1", "http");
  const std::string coordinator = cluster->Address("us-coordinator-1", "http");
  // It is asked every 10 s, so that the three seldom look at different answers.
  EXPECT_TRUE(WaitUntil(
      [&] {
        const double used = FetchMetric(node, "meridian_l2_memory_used_bytes", {"region=\"us\""});
        const nlohmann::json overview = FetchJson(coordinator, "/v1/cluster/overview");
        if (overview.is_null()) return false;
        const nlohmann::json& totals = overview["totals"];
        const admin::v1::GetFiguresResponse figures =
            FiguresOf(cluster->Address("us-node-1", "admin"));
        return used > 100'000 && totals["l2_used_bytes"] == used &&
               static_cast<double>(figures.l2_used_bytes()) == used &&
               totals["l2_limit_bytes"] == 100 << 20 && figures.l2_limit_bytes() == 100u << 20 &&
               FetchMetric(node, "meridian_l2_memory_limit_bytes") == 100 << 20;
      },
      kLimit))
      << FetchJson(coordinator, "/v1/cluster/overview").dump(1);
  EXPECT_EQ(FetchMetric(node, "meridian_l2_settings",
                        {"eviction_policy=\"volatile-lfu\"", "aof=\"off\""}),
            1);
  EXPECT_EQ(FetchMetric(node, "meridian_l2_saves_ok"), 1);

  const double expires = FetchMetric(node, "meridian_certificate_expiry_timestamp_seconds");
  const double days = (expires - static_cast<double>(absl::ToUnixSeconds(absl::Now()))) / 86400;
  EXPECT_GT(days, 29);
  EXPECT_LT(days, 31);
  EXPECT_EQ(static_cast<double>(
                FiguresOf(cluster->Address("us-node-1", "admin")).certificate_expires_unix_ms()),
            1000 * expires);
}

}  // namespace
}  // namespace meridian
