// Nothing on the page is made up: what /v1/cluster/overview documents as a count or a size is what
// the nodes' /metrics say, field by field (docs/http_api.md, docs/metrics.md).

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "tests/integration/cache_calls.h"
#include "tests/integration/http_json.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr const char* kNodes[] = {"us-node-1", "us-node-2"};

// A field, and the metric whose samples with all of the labels add up to it.
struct Row {
  std::string field;  // A JSON pointer.
  std::string metric;
  std::vector<std::string> labels = {};
  double factor = 1;  // Of the metric.
};

const char kReads[] = "meridian_read_duration_seconds_count";

std::vector<Row> ReadRows() {
  return {{"/l1_hits", kReads, {"tier=\"l1\""}},
          {"/l2_hits", kReads, {"tier=\"l2\""}},
          {"/misses", kReads, {"tier=\"miss\""}},
          {"/errors", "meridian_cache_gets_total", {"tier=\"l2\"", "result=\"error\""}},
          {"/l1_bytes", "meridian_l1_bytes"},
          {"/l1_entries", "meridian_l1_entries"}};
}

// Each node tells the goals of the policies: of the sum, its share.
std::vector<Row> GoalRows() {
  const double share = 1.0 / std::size(kNodes);
  const char metric[] = "meridian_read_duration_goal_seconds";
  return {{"/goals/hit_rate", "meridian_cache_hit_goal_ratio", {}, share},
          {"/goals/l1_p95_ms", metric, {"tier=\"l1\""}, 1000 * share},
          {"/goals/l2_p95_ms", metric, {"tier=\"l2\""}, 1000 * share}};
}

std::vector<Row> TotalRows() {
  std::vector<Row> rows = ReadRows();
  for (const char* cause : {"size", "ttl", "fence", "admission", "replaced"}) {
    rows.push_back({absl::StrCat("/evictions/", cause),
                    "meridian_cache_evictions_total",
                    {absl::StrCat("cause=\"", cause, "\""), "namespace=\"task\""}});
  }
  rows.push_back({"/l1_limit_bytes", "meridian_l1_limit_bytes"});
  return rows;
}

class OverviewMetricsCallTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "policies.yaml",
              "namespaces:\n  task:\n    ttl: 1h\n    compression: {threshold: 100}\n"
              "    goals: {hit_rate: 0.95, l1_p95: 5ms, l2_p95: 20ms}\n");
    cluster_ = StartTestCluster({.regions = {"us", "eu"},
                                 .nodes = 2,
                                 .node_flags = {absl::StrCat("--policies=", dir_ / "policies.yaml"),
                                                "--l1-max-bytes=1MiB"}});
    ASSERT_NE(cluster_, nullptr);
  }
  json Overview() const {
    return FetchJson(cluster_->Address("us-coordinator-1", "http"), "/v1/cluster/overview");
  }
  // Over the nodes of the region, or one of them.
  double Metric(const Row& row, const std::string& node = "",
                const std::string& name_space = "") const {
    double sum = 0;
    for (const char* one : kNodes) {
      if (!node.empty() && node != one) continue;
      std::vector<std::string> labels = row.labels;
      if (!name_space.empty()) labels.push_back(absl::StrCat("namespace=\"", name_space, "\""));
      sum += row.factor * FetchMetric(cluster_->Address(one, "http"), row.metric, labels);
    }
    return sum;
  }
  // What is not as the metric says.
  static void Compare(const json& object, const std::string& where, const Row& row, double metric,
                      std::vector<std::string>* wrong) {
    const json::json_pointer field(row.field);
    if (!object.contains(field) || !object.at(field).is_number()) {
      wrong->push_back(absl::StrCat(where, row.field, " is not there"));
      return;
    }
    const double value = object.at(field).get<double>();
    if (std::abs(value - metric) <= 1e-9 * std::abs(metric)) return;
    wrong->push_back(
        absl::StrCat(where, row.field, " is ", value, ", and ", row.metric, " ", metric));
  }
  std::vector<std::string> Differences() const {
    std::vector<std::string> wrong;
    const json overview = Overview();
    if (overview.is_null()) return {"no overview"};
    for (const Row& row : TotalRows())
      Compare(overview["totals"], "totals", row, Metric(row), &wrong);
    for (const json& node : overview["nodes"]) {
      const std::string id = node["id"];
      std::vector<Row> rows = {{"/misses", kReads, {"tier=\"miss\""}},
                               {"/l1_bytes", "meridian_l1_bytes"},
                               {"/l1_entries", "meridian_l1_entries"},
                               {"/l1_limit_bytes", "meridian_l1_limit_bytes"},
                               {"/epoch", "meridian_ring_epoch"}};
      rows.push_back({"/owned_slots",
                      "meridian_ring_ownership_ratio",
                      {absl::StrCat("node=\"", id, "\"")},
                      1024});
      for (const Row& row : rows) Compare(node, id, row, Metric(row, id), &wrong);
    }
    for (const json& name_space : overview["namespaces"]) {
      const std::string name = name_space["namespace"];
      std::vector<Row> rows = ReadRows();
      rows.push_back({"/sets", "meridian_cache_puts_total"});
      rows.push_back({"/invalidations", "meridian_cache_invalidations_total"});
      rows.push_back({"/compression_cpu_seconds", "meridian_compression_cpu_seconds_total"});
      if (name == "task") {
        for (const Row& row : GoalRows()) rows.push_back(row);
      }
      for (const Row& row : rows) Compare(name_space, name, row, Metric(row, "", name), &wrong);
      Compare(name_space, name, {"/compression_saved_bytes", "compression's saving"},
              Metric({"", "meridian_compression_raw_bytes_total"}, "", name) -
                  Metric({"", "meridian_compression_stored_bytes_total"}, "", name),
              &wrong);
    }
    for (const json& link : overview["links"]) {
      const std::vector<std::string> to = {
          absl::StrCat("to=\"", link["to"].get<std::string>(), "\"")};
      const std::vector<std::string> applied = {to[0], "result=\"applied\""};
      // Probes of an idle link go on: the overview is a second old.
      const double applied_now = Metric({"", "meridian_replication_applied_total", applied});
      const double applied_then = link["applied_total"].get<double>();
      if (applied_then > applied_now || applied_then < 0.9 * applied_now - 100) {
        wrong.push_back(absl::StrCat("applied_total is ", applied_then, ", and ", applied_now));
      }
      for (const Row& row : {Row{"/backlog", "meridian_replication_queue_entries", to},
                             Row{"/repairing_slots", "meridian_replication_repairing_slots", to}}) {
        Compare(link, "link", row, Metric(row), &wrong);
      }
    }
    return wrong;
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(OverviewMetricsCallTest, EveryCountAndSizeIsThatOfTheMetrics) {
  const auto stub = NewStub<cache::v1::CacheService>(cluster_->Address("us-node-1", "data"));
  // Three quarters of it cannot be compressed: 1500 KB for a node, and it has 1 MiB.
  std::mt19937_64 random(1);
  std::string noise(1500, '\0');
  for (char& c : noise) c = static_cast<char>(random());
  std::vector<std::string> keys;
  for (int i = 0; i < 2000; ++i) {
    keys.push_back(absl::StrCat("k", i));
    if (keys.size() < 100) continue;
    calls::GetAll(*stub, keys);  // Misses,
    calls::SetAll(*stub, keys,
                  noise + std::string(500, 'v'));  // compressed values, more than L1 holds,
    calls::SetAll(*stub, keys, noise + std::string(400, 'w'));  // replaced,
    calls::GetAll(*stub, keys);                                 // and hits.
    keys.clear();
  }
  grpc::ClientContext context;
  cache::v1::InvalidateRequest request;
  request.set_namespace_("task");
  request.set_key("k1");
  cache::v1::InvalidateResponse response;
  ASSERT_TRUE(stub->Invalidate(&context, request, &response).ok());

  std::vector<std::string> wrong;
  EXPECT_TRUE(WaitUntil(
      [&] {
        wrong = Differences();
        return wrong.empty();
      },
      kLimit, absl::Milliseconds(500)))
      << absl::StrJoin(wrong, "\n");
  // It was about something.
  const json overview = Overview();
  const json& task = overview["namespaces"][0];
  EXPECT_EQ(task["namespace"], "task");
  EXPECT_EQ(task["goals"]["hit_rate"].get<double>(), 0.95);
  for (const char* field : {"l1_hits", "misses", "sets", "invalidations", "l1_entries", "l1_bytes",
                            "compression_saved_bytes", "compression_cpu_seconds"}) {
    EXPECT_GT(task[field].get<double>(), 0) << field;
  }
  EXPECT_GT(overview["totals"]["evictions"]["replaced"].get<double>(), 0);
  EXPECT_GT(overview["totals"]["evictions"]["size"].get<double>() +
                overview["totals"]["evictions"]["admission"].get<double>(),
            0);
  EXPECT_GT(overview["links"][0]["applied_total"].get<double>(), 0);
}

}  // namespace
}  // namespace meridian
