// The origin of a namespace dies while clients use BatchGet, whose calls are OK then: whoever looks
// at the cluster is told all the same, and which namespace it is.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;

constexpr char kSpace[] = "assessment";
constexpr absl::Duration kLimit = absl::Seconds(60);

TEST(OriginAwayCallTest, KeysThatFailAreAnAlertAndAFindingOfDoctor) {
  const auto cluster = StartTestCluster(
      {.regions = {"us"}, .nodes = 2, .node_flags = {}, .origin = true});
  ASSERT_NE(cluster, nullptr);
  const std::unique_ptr<Client> client = cluster->NewClient("us");
  cluster->Kill("origin");

  int next = 0;
  const auto ask = [&] {
    std::vector<std::string> keys(20);
    for (std::string& key : keys) key = absl::StrCat("new:", next++);
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    for (const GetResult& result : client->BatchGet(kSpace, views)) EXPECT_FALSE(result.hit());
  };
  const auto told = [&](const std::string& name, const std::string& state) {
    for (const json& alert : FetchList(cluster->Address("us-coordinator-1", "http"),
                                       "/v1/cluster/alerts", "alerts")) {
      if (alert["name"] == name && alert["state"] == state &&
          alert["labels"].value("namespace", "") == kSpace) {
        return true;
      }
    }
    return false;
  };
  EXPECT_TRUE(WaitUntil(
      [&] {
        ask();
        return told("MeridianErrors", "firing");
      },
      kLimit));
  EXPECT_TRUE(WaitUntil([&] { return told("MeridianOriginBreakerOpen", "pending"); }, kLimit))
      << "it fires when that has lasted for a minute";
  double errors = 0;
  for (const char* node : {"us-node-1", "us-node-2"}) {
    errors += FetchMetric(cluster->Address(node, "http"), "meridian_read_errors_total",
                          {absl::StrCat("namespace=\"", kSpace, "\"")});
  }
  EXPECT_GE(errors, 100);
  const CommandResult doctor = RunCommand(
      {ProgramPath("meridianctl"), "doctor", "--cluster", cluster->file()}, absl::Seconds(30));
  EXPECT_THAT(doctor.out, testing::HasSubstr("namespace assessment: its origin at"));
  EXPECT_THAT(doctor.out, testing::HasSubstr("[origin_away]"));
  EXPECT_NE(doctor.exit_code, 0);
}

}  // namespace
}  // namespace meridian
