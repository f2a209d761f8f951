#include "bench/workloads/pareto_experiment.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/workloads/json_value.h"
#include "bench/workloads/virtual_node.h"

namespace meridian {
namespace {

constexpr int kRequests = 50;
constexpr int kPopular = 10;
constexpr int kTail = 1000;
constexpr double kPopularShare = 0.8;
constexpr int kRepetitions = 200;
constexpr char kSpace[] = "assessment";
constexpr absl::Duration kBetween = absl::Milliseconds(10);
constexpr absl::Duration kTtl = absl::Minutes(5);
constexpr int kLayerRequests = 360'000;
constexpr uint64_t kLayerEntries = 100;  // Of L1: a tenth of all items.

// One client that asks, and loads and stores what is missing.
class Run {
 public:
  // `max_entries` of L1; 0: as many as its bytes hold.
  explicit Run(uint64_t seed, uint64_t max_entries = 0) : rng_(seed) {
    NodeConfig config;
    config.l1_max_entries = max_entries;
    config.l1_max_bytes = size_t{64} << 20;
    config.l1_policy = "lru";
    absl::StatusOr<std::unique_ptr<VirtualNode>> node = VirtualNode::Create(config);
    if (!node.ok()) {
      std::fprintf(stderr, "%s\n", std::string(node.status().message()).c_str());
      std::exit(1);
    }
    node_ = *std::move(node);
  }

  void Warm() {
    for (int item = 0; item < kPopular; ++item) Store(absl::StrCat("item:", item));
  }

  // Who answers the next `requests`.
  LayerShares Ask(int requests) {
    LayerShares shares;
    for (int i = 0; i < requests; ++i) {
      const Tier tier = AskOnce();
      (tier == Tier::kL1 ? shares.l1 : tier == Tier::kL2 ? shares.l2 : shares.origin) += 1;
    }
    for (double* share : {&shares.l1, &shares.l2, &shares.origin}) *share /= requests;
    return shares;
  }

 private:
  Tier AskOnce() {
    now_ += kBetween;
    node_->AdvanceTo(now_);
    const bool popular = std::uniform_real_distribution<double>(0, 1)(rng_) < kPopularShare;
    const uint64_t item = popular ? rng_() % kPopular : kPopular + rng_() % kTail;
    const std::string key = absl::StrCat("item:", item);
    const Tier tier = node_->Get(kSpace, key);
    if (tier == Tier::kNone) Store(key);
    return tier;
  }
  void Store(const std::string& key) { node_->Set(kSpace, key, JsonValue(key, 1000), kTtl); }

  std::mt19937_64 rng_;
  absl::Duration now_;
  std::unique_ptr<VirtualNode> node_;
};

}  // namespace

ParetoReport RunParetoExperiment(uint64_t seed) {
  ParetoReport report;
  for (int i = 0; i < kRepetitions; ++i) {
    Run cold(seed + static_cast<uint64_t>(i));
    report.cold += cold.Ask(kRequests).l1 / kRepetitions;
    report.second += cold.Ask(kRequests).l1 / kRepetitions;
    Run warmed(seed + static_cast<uint64_t>(i));
    warmed.Warm();
    report.warmed += warmed.Ask(kRequests).l1 / kRepetitions;
  }
  return report;
}

LayerShares RunLayerExperiment(uint64_t seed) {
  return Run(seed, kLayerEntries).Ask(kLayerRequests);
}

std::string ToText(const ParetoReport& report) {
  return absl::StrFormat(
      "Source 004, 80/20 test: hits of L1 in 50 requests\n"
      "%-30s%8s\n%-30s%8.1f\n%-30s%8.1f\n%-30s%8.1f\n%-30s%8.1f\n"
      "stated goal: 80 %%.\n",
      "", "L1 %", "stated", 60.0, "from empty", 100 * report.cold, "10 popular items warmed",
      100 * report.warmed, "the next 50 requests", 100 * report.second);
}

std::string ToText(const LayerShares& shares) {
  return absl::StrFormat(
      "Source 004, an hour: who answers, in %% of the requests\n"
      "%-30s%8s%8s%8s\n%-30s%8.1f%8.1f%8.1f\n%-30s%8.1f%8.1f%8.1f\n",
      "", "L1", "L2", "origin", "stated", 80.0, 15.0, 5.0, "with 100 entries in L1",
      100 * shares.l1, 100 * shares.l2, 100 * shares.origin);
}

nlohmann::json ToJson(const ParetoReport& report) {
  return {{"cold", report.cold}, {"warmed", report.warmed}, {"second", report.second}};
}

nlohmann::json ToJson(const LayerShares& shares) {
  return {{"l1", shares.l1}, {"l2", shares.l2}, {"origin", shares.origin}};
}

}  // namespace meridian
