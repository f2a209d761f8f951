#include "bench/workloads/persona_experiment.h"

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/workloads/json_value.h"
#include "bench/workloads/virtual_node.h"
#include "common/base/status_macros.h"
#include "server/policy/node_config.h"

namespace meridian {
namespace {

// What the source measured (0-03, 0-18), and how near the model must come.
constexpr double kStatedL1 = 0.642;
constexpr double kStatedCombined = 0.823;
constexpr double kStatedEvictionsPerHour = 145;
constexpr double kTolerance = 0.01;

constexpr double kMeanValueBytes = 2500;
constexpr double kMeanItemBytes = 500;  // A fifth of a batch's answer.
constexpr absl::Duration kWarmUp = absl::Minutes(15);
constexpr absl::Duration kSampleInterval = absl::Seconds(10);
constexpr size_t kWarmedCombinations = 100;

constexpr char kBaseline[] =
    R"("*": {ttl: 300s, l1_ttl: 60s, ttl_jitter: 0, compression: {enabled: false}})";

absl::StatusOr<NodeConfig> Configure(std::vector<std::string> flags) {
  std::vector<const char*> arguments = {"meridian-node"};
  for (const std::string& flag : flags) arguments.push_back(flag.c_str());
  ASSIGN_OR_RETURN(std::optional<NodeConfig> config,
                   NodeConfig::Parse(static_cast<int>(arguments.size()), arguments.data(), {}));
  if (!config) return absl::InvalidArgumentError("the configuration only asks for help");
  return *std::move(config);
}

struct Variant {
  std::string name;
  NodeConfig config;
  bool bulk_by_item = false;
  int item_pool = 3000;
  bool warm = false;
};

absl::StatusOr<PersonaRun> RunVariant(const Variant& variant, double hours, uint64_t seed) {
  ASSIGN_OR_RETURN(std::unique_ptr<VirtualNode> node, VirtualNode::Create(variant.config));
  PersonaWorkload workload(
      {.seed = seed, .bulk_by_item = variant.bulk_by_item, .item_pool = variant.item_pool});
  const auto load = [&node, &variant](std::string_view name_space, const std::string& key,
                                      absl::Duration ttl) {
    const bool item = variant.bulk_by_item && name_space == "item";
    node->Set(name_space, key, JsonValue(key, item ? kMeanItemBytes : kMeanValueBytes), ttl);
  };
  if (variant.warm) {
    for (const std::string& key : workload.TopCombinations(kWarmedCombinations)) {
      load(PersonaWorkload::NamespaceOf(PersonaWorkload::kProcess), key, absl::Hours(1));
    }
  }
  PersonaRun run;
  run.name = variant.name;
  const absl::Duration end = kWarmUp + absl::Hours(hours);
  absl::Duration next_sample = kWarmUp;
  uint64_t evictions_before = 0;
  int samples = 0;
  for (PersonaWorkload::Request request = workload.Next(); request.at < end;
       request = workload.Next()) {
    node->AdvanceTo(request.at);
    if (request.at >= next_sample) {
      const EngineCounters l1 = node->L1();
      if (samples == 0) evictions_before = l1.evicted(EvictionCause::kSize);
      ++samples;
      run.mean_entries += static_cast<double>(l1.entries);
      run.mean_bytes += static_cast<double>(l1.bytes);
      next_sample += kSampleInterval;
    }
    HitShares shares;
    for (const std::string& key : request.keys) {
      const Tier tier = node->Get(request.name_space, key);
      shares.l1 += tier == Tier::kL1 ? 1 : 0;
      shares.l2 += tier == Tier::kL2 ? 1 : 0;
      if (tier == Tier::kNone) load(request.name_space, key, absl::ZeroDuration());
    }
    if (request.at < kWarmUp) continue;
    const double keys = static_cast<double>(request.keys.size());
    for (HitShares* to : {&run.all, &run.by_endpoint[request.endpoint]}) {
      to->l1 += shares.l1 / keys;
      to->l2 += shares.l2 / keys;
      to->requests += 1;
    }
  }
  run.evictions_per_hour =
      static_cast<double>(node->L1().evicted(EvictionCause::kSize) - evictions_before) / hours;
  run.mean_entries /= samples;
  run.mean_bytes /= samples;
  return run;
}

absl::Status CheckBaseline(const PersonaRun& run) {
  if (std::abs(run.all.L1Ratio() - kStatedL1) <= kTolerance &&
      std::abs(run.all.CombinedRatio() - kStatedCombined) <= kTolerance) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrFormat("the model does not reproduce the baseline of source 000: %.1f %% in L1 and "
                      "%.1f %% together, "
                      "stated are %.1f %% and %.1f %%; no gain may be shown from it",
                      100 * run.all.L1Ratio(), 100 * run.all.CombinedRatio(), 100 * kStatedL1,
                      100 * kStatedCombined));
}

// A report that has the baseline, which the model must reproduce.
absl::StatusOr<PersonaReport> BeginReport(double hours, uint64_t seed) {
  Variant baseline;
  baseline.name = "baseline";
  ASSIGN_OR_RETURN(baseline.config, Configure({"--l1-max-entries=1000", "--l1-policy=lru"}));
  RETURN_IF_ERROR(baseline.config.policies.ReadText("the baseline", kBaseline));
  PersonaReport report;
  ASSIGN_OR_RETURN(PersonaRun first, RunVariant(baseline, hours, seed));
  RETURN_IF_ERROR(CheckBaseline(first));
  report.runs.push_back(std::move(first));
  return report;
}

}  // namespace

absl::StatusOr<PersonaReport> RunPersonaPhase1(const std::string& planned, double hours,
                                               uint64_t seed) {
  ASSIGN_OR_RETURN(PersonaReport report, BeginReport(hours, seed));
  ASSIGN_OR_RETURN(NodeConfig config, Configure({"--config=" + planned}));
  ASSIGN_OR_RETURN(PersonaRun run,
                   RunVariant({"phase 1", std::move(config), false, 0, true}, hours, seed));
  report.runs.push_back(std::move(run));
  return report;
}

absl::StatusOr<PersonaReport> RunPersonaExperiment(const PersonaProfiles& profiles, double hours,
                                                   uint64_t seed) {
  ASSIGN_OR_RETURN(PersonaReport report, BeginReport(hours, seed));
  ASSIGN_OR_RETURN(const NodeConfig planned, Configure({"--config=" + profiles.planned}));
  ASSIGN_OR_RETURN(const NodeConfig tuned, Configure({"--config=" + profiles.tuned}));
  NodeConfig plain = planned;
  NodeConfig open = planned;
  for (const auto& [name_space, policy] : planned.policies.named()) {
    NamespacePolicy changed = policy;
    changed.compression.enabled = false;
    plain.policies.Set(name_space, changed);
    changed = policy;
    changed.admission = {};
    open.policies.Set(name_space, changed);
  }
  constexpr int kNoItems = 0;
  const Variant variants[] = {
      {"planned configuration", planned, false, kNoItems, false},
      {"+ top 100 warmed", planned, false, kNoItems, true},
      {"+ bulk by item: whole plan", planned, true, 3000, true},
      {"  without compression", plain, true, 3000, true},
      {"  without admission", open, true, 3000, true},
      {"tuned configuration", tuned, true, 3000, true},
      {"  of 6000 items", tuned, true, 6000, true},
  };
  for (const Variant& variant : variants) {
    ASSIGN_OR_RETURN(PersonaRun run, RunVariant(variant, hours, seed));
    report.runs.push_back(std::move(run));
  }
  return report;
}

std::string ToText(const PersonaReport& report) {
  std::string text = absl::StrFormat(
      "Source 000, persona service\n%-30s%8s%10s%9s%9s%8s%10s%13s%10s%10s\n", "", "L1 %", "L1+L2 %",
      "process", "recomm.", "bulk", "personas", "evictions/h", "entries", "MB");
  const auto line = [&text](const std::string& name, double l1, double combined,
                            const std::array<double, 4>& misses, double evictions, double entries,
                            double megabytes) {
    absl::StrAppendFormat(&text, "%-30s%8.1f%10.1f%9.1f%9.1f%8.1f%10.1f%13.0f%10.0f%10.2f\n", name,
                          100 * l1, 100 * combined, 100 * misses[0], 100 * misses[1],
                          100 * misses[2], 100 * misses[3], evictions, entries, megabytes);
  };
  std::array<double, 4> stated;
  for (int i = 0; i < PersonaWorkload::kEndpoints; ++i) {
    stated[static_cast<size_t>(i)] =
        PersonaWorkload::StatedMissRatio(static_cast<PersonaWorkload::Endpoint>(i));
  }
  line("stated: baseline", kStatedL1, kStatedCombined, stated, kStatedEvictionsPerHour, 1000, 2.5);
  for (const PersonaRun& run : report.runs) {
    std::array<double, 4> misses;
    for (size_t i = 0; i < misses.size(); ++i) {
      misses[i] = 1 - run.by_endpoint[i].CombinedRatio();
    }
    line(run.name, run.all.L1Ratio(), run.all.CombinedRatio(), misses, run.evictions_per_hour,
         run.mean_entries, run.mean_bytes / 1e6);
  }
  absl::StrAppend(
      &text,
      "stated goal: L1 75 %, together 87 %, 2.0 MB. The columns of endpoints are misses.\n\n");
  return text;
}

nlohmann::json ToJson(const PersonaReport& report) {
  nlohmann::json runs = nlohmann::json::array();
  for (const PersonaRun& run : report.runs) {
    runs.push_back({{"name", run.name},
                    {"l1_hit_ratio", run.all.L1Ratio()},
                    {"combined_hit_ratio", run.all.CombinedRatio()},
                    {"evictions_per_hour", run.evictions_per_hour},
                    {"mean_entries", run.mean_entries},
                    {"mean_bytes", run.mean_bytes}});
  }
  return runs;
}

}  // namespace meridian
