// The figures that source 000 states for its first steps, with the configuration that is shipped.

#include "bench/workloads/persona_experiment.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/workloads/virtual_node.h"
#include "server/policy/node_config.h"
#include "server/policy/text.h"
#include "server/warming/warm_settings.h"

namespace meridian {
namespace {

std::string Shipped(const std::string& name) {
  return absl::StrCat(std::getenv("MERIDIAN_SOURCE_DIR"), "/config/", name);
}

TEST(PersonaExperimentTest, Requirement0_09_Phase1GainsSixToNinePoints) {
  const absl::StatusOr<PersonaReport> report = RunPersonaPhase1(Shipped("persona.yaml"), 0.5, 1);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_EQ(report->runs.size(), 2u);
  const double before = report->runs[0].all.L1Ratio();
  const double after = report->runs[1].all.L1Ratio();
  EXPECT_NEAR(before, 0.64, 0.01);
  EXPECT_GE(after, before + 0.06);
  EXPECT_GE(after, 0.70);
}

// The keys that `startup` of the shipped file has read when a cluster is cold.
std::vector<std::string> StartupKeys(const std::string& name_space) {
  const std::string file = Shipped("warming-persona.yaml");
  const absl::StatusOr<std::string> text = ReadSmallFile(file);
  WarmSettings settings;
  if (!text.ok() || !settings.ReadFile(file, *text).ok()) return {};
  std::vector<std::string> keys;
  const WarmSchedule& common = settings.startup.at("common");
  EXPECT_EQ(common.name_space, name_space);
  const absl::StatusOr<KeyList> list = common.text.ToKeyList();
  for (uint64_t i = 0; list.ok() && i < list->size(); ++i) keys.push_back(list->At(i));
  return keys;
}

// Of the first requests for a persona after the start of a node that has nothing, those that L1
// answers. Which personas are common the operator says: the hundred that the file names.
double FirstHits(const std::vector<std::string>& common, bool warm, absl::Duration length) {
  constexpr char kSpace[] = "persona-warm";
  const std::string config = "--config=" + Shipped("persona.yaml");
  const char* const arguments[] = {"meridian-node", config.c_str()};
  const absl::StatusOr<std::optional<NodeConfig>> parsed = NodeConfig::Parse(2, arguments, {});
  if (!parsed.ok() || !parsed->has_value()) return -1;
  const absl::StatusOr<std::unique_ptr<VirtualNode>> node = VirtualNode::Create(**parsed);
  if (!node.ok()) return -1;
  PersonaWorkload workload({});
  std::map<std::string, std::string> name_of;  // Of the model's combinations.
  const std::vector<std::string> ranked = workload.TopCombinations(common.size());
  for (size_t i = 0; i < common.size(); ++i) name_of[ranked[i]] = common[i];
  if (warm) {
    for (const std::string& key : common) (*node)->Set(kSpace, key, "{}", absl::ZeroDuration());
  }
  double hits = 0;
  double requests = 0;
  for (PersonaWorkload::Request next = workload.Next(); next.at < length; next = workload.Next()) {
    if (next.endpoint != PersonaWorkload::kProcess) continue;
    (*node)->AdvanceTo(next.at);
    const auto found = name_of.find(next.keys[0]);
    const bool is_common = found != name_of.end();
    const std::string& key = is_common ? found->second : next.keys[0];
    const std::string_view name_space = is_common ? kSpace : next.name_space;
    const Tier tier = (*node)->Get(name_space, key);
    ++requests;
    hits += tier == Tier::kL1 ? 1 : 0;
    if (tier == Tier::kNone) (*node)->Set(name_space, key, "{}", absl::ZeroDuration());
  }
  return hits / requests;
}

TEST(PersonaExperimentTest, Requirement0_10_After100CombinationsAreWarmed64PercentHitL1) {
  const std::vector<std::string> common = StartupKeys("persona-warm");
  ASSERT_EQ(common.size(), 100u);
  EXPECT_GE(FirstHits(common, /*warm=*/true, absl::Seconds(30)), 0.64);
  EXPECT_LT(FirstHits(common, /*warm=*/false, absl::Seconds(30)), 0.60) << "the test does not test";
}

}  // namespace
}  // namespace meridian
