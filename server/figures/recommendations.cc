#include "server/figures/recommendations.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/figures/namespace_goals.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

using coordinator::v1::Recommendation;

constexpr absl::Duration kWindow = kJudgedOver;
// Bounds of requirements 3-05 and 3-15.
constexpr double kOverCaching = 0.95;
constexpr double kOptimal = 0.80;
constexpr double kLow = 0.50;

constexpr double kWorthIt = 0.05;      // Points that are worth a change.
constexpr double kReplayError = 0.10;  // More than this, and a prediction is not believed.
constexpr double kLargeEntry = 2048;   // Bytes.
constexpr double kLateShare = 0.30;    // Reads that L2 answers while L1 has room.
constexpr double kHotShare = 0.20;     // Of the reads of a region, of one key.
constexpr double kUneven = 1.5;        // Times the mean load of a node.
constexpr double kBusyReads = 50;      // A second; below, load is never uneven.
constexpr double kRedisUsed = 0.30;
constexpr uint64_t kSmallRedis = uint64_t{64} << 20;  // Less saves nothing.
constexpr absl::Duration kFilledAfter = absl::Minutes(10);
constexpr double kSelective = 0.20;  // Hits a stored value.
// What is told to ask for: so many times the present TTL, which may not be known.
constexpr int kTimesLonger = 4;
constexpr absl::Duration kLongestTtl = absl::Hours(365 * 24);
constexpr absl::Duration kAskedTtl = absl::Minutes(10);

std::string Percent(double share) { return absl::StrFormat("%.1f %%", 100 * share); }

std::string PolicyLine(const std::string& name_space, const std::string& fields) {
  return absl::StrCat("in the policies: namespaces: {", name_space, ": {", fields, "}}");
}

std::string DurationOf(uint64_t ms) {
  return DurationText(absl::Milliseconds(static_cast<int64_t>(ms)));
}

// Never fewer.
uint64_t MebibytesOf(uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; }

// From here on a namespace has nothing to gain.
double Wanted(const GoalTable& goals, const std::string& name_space) {
  const double goal = goals.Of(name_space).hit_rate;
  return goal > 0 ? goal : kOptimal;
}

class Rules {
 public:
  explicit Rules(const RecommendationInputs& inputs)
      : inputs_(inputs), window_(inputs.figures.history().Last(kWindow)), goals_(inputs.figures) {
    for (const admin::v1::GetFiguresResponse& answer : inputs.figures.Answers(inputs.now)) {
      for (const admin::v1::NamespaceStats& row : answer.status().namespaces()) {
        admin::v1::NamespaceStats& sum = stats_[row.namespace_()];
        sum.set_l1_entries(sum.l1_entries() + row.l1_entries());
        sum.set_l1_bytes(sum.l1_bytes() + row.l1_bytes());
        sum.set_compressed_values(sum.compressed_values() + row.compressed_values());
      }
      used_ += answer.status().l1_bytes();
      limit_ += answer.status().l1_limit_bytes();
      l2_used_ = std::max(l2_used_, answer.l2_used_bytes());
      l2_limit_ = std::max(l2_limit_, answer.l2_limit_bytes());
      uptime_ =
          std::max(uptime_, absl::Seconds(static_cast<int64_t>(answer.status().uptime_seconds())));
    }
  }

  void Namespaces() {
    std::set<std::string> names;
    for (const auto& [key, reads] : window_.counts.reads) names.insert(key.first);
    for (const std::string& name : names) {
      const ReadCounts reads = window_.counts.ReadsOf(name);
      if (reads.reads() < kFewReadsToRecommend) {
        BelowGoal(name, reads);
        continue;
      }
      const double rate = Share(reads.hits(), reads.reads());
      const bool explained = TtlTooShort(name, reads, rate) | SizeTooSmall(name, reads, rate) |
                             Selective(name, reads, rate);
      if (!explained) HitRateBand(name, reads, rate);
      Promotion(name, reads);
      Compression(name);
    }
  }

  // Requirement 4-07's tiers need the hot keys where they are asked for.
  void HotKeys() {
    const double all = window_.PerSecond(static_cast<double>(window_.counts.all.reads.reads()));
    if (all < kBusyReads || inputs_.hot_keys.empty()) return;
    const HotKey& key = inputs_.hot_keys[0];
    if (key.per_second < kHotShare * all) return;
    Recommendation& row = Add("hot_key", "info", key.name_space);
    row.set_summary(absl::StrCat("one key has ", Percent(std::min(1.0, key.per_second / all)),
                                 " of the reads of the region, all of them at its owner"));
    Evidence("key", absl::CHexEscape(key.key), &row);
    Evidence("reads a second", absl::StrFormat("%.0f", key.per_second), &row);
    row.set_command(
        "nodes: --mirror-max-bytes 16MiB; clients: ClientOptions::near_cache_bytes or "
        "spread_hot_keys");
    row.set_gain("its reads spread over all nodes");
  }

  void UnevenLoad() {
    std::vector<std::pair<double, std::string>> loads;
    double sum = 0;
    for (const auto& [id, node] : inputs_.figures.nodes()) {
      if (!node.IsAlive(inputs_.now) || node.known.member.weight == 0) continue;
      const auto window = node.history.Last(kWindow);
      const double load = window.PerSecond(static_cast<double>(window.counts.reads.reads())) /
                          node.known.member.weight;
      loads.emplace_back(load, id);
      sum += load;
    }
    if (loads.size() < 3 || sum < kBusyReads) return;
    const double mean = sum / static_cast<double>(loads.size());
    const auto& [load, id] = *std::max_element(loads.begin(), loads.end());
    if (load < kUneven * mean) return;
    Recommendation& row = Add("uneven_load", "info", "");
    row.set_node(id);
    row.set_summary(
        absl::StrFormat("node %s answers %.1f times as many reads as the mean", id, load / mean));
    Evidence("reads a second, by weight", absl::StrFormat("%.0f, mean %.0f", load, mean), &row);
    row.set_command("meridianctl hotkeys --limit 10");
    row.set_gain("when a few keys make it: see hot_key; else give the node a lower --weight");
  }

  // Requirement 0-04: used against provisioned.
  void RedisTooLarge() {
    // One that was begun a moment ago is still filled.
    if (l2_used_ == 0 || l2_limit_ == 0 || uptime_ < kFilledAfter) return;
    const double used = Share(l2_used_, l2_limit_);
    const uint64_t enough = std::max(2 * l2_used_, kSmallRedis);
    if (used >= kRedisUsed || enough >= l2_limit_) return;
    Recommendation& row = Add("redis_over_provisioned", "info", "");
    row.set_summary(absl::StrCat("the regional Redis uses ", Percent(used), " of its memory"));
    Evidence("used", absl::StrCat(l2_used_ >> 20, " MiB"), &row);
    Evidence("provisioned", absl::StrCat(l2_limit_ >> 20, " MiB"), &row);
    row.set_command(absl::StrCat("redis-cli CONFIG SET maxmemory ", enough >> 20, "mb"));
    row.set_gain(absl::StrCat((l2_limit_ - enough) >> 20, " MiB less to pay for"));
  }

  std::vector<Recommendation> Take() {
    const auto rank = [](const Recommendation& row) {
      return row.severity() == "critical" ? 0 : row.severity() == "warning" ? 1 : 2;
    };
    std::stable_sort(
        rows_.begin(), rows_.end(),
        [&rank](const Recommendation& a, const Recommendation& b) { return rank(a) < rank(b); });
    return std::move(rows_);
  }

 private:
  const NamespaceForecast* Forecast(const std::string& name) const {
    const auto it = inputs_.forecasts.find(name);
    return it == inputs_.forecasts.end() ? nullptr : &it->second;
  }

  // The shortest of the longer TTLs that gives nearly all that the longest does.
  bool TtlTooShort(const std::string& name, const ReadCounts& reads, double rate) {
    const NamespaceForecast* forecast = Forecast(name);
    if (forecast == nullptr || rate >= Wanted(goals_, name)) return false;
    const WhatIfSum* chosen = nullptr;
    double best = 0;
    for (const WhatIfSum& sum : forecast->longer_ttl) {
      if (!sum.empty() && sum.IsSure()) best = std::max(best, NetGain(sum, reads));
    }
    if (best < kWorthIt) return false;
    for (const WhatIfSum& sum : forecast->longer_ttl) {
      if (sum.empty() || !sum.IsSure() || NetGain(sum, reads) < 0.9 * best) continue;
      chosen = &sum;
      break;
    }
    Recommendation& row = Add("ttl_too_short", rate < kLow ? "critical" : "warning", name);
    const std::string ttl = DurationOf(chosen->asked().ttl_ms());
    row.set_summary(absl::StrFormat(
        "hit rate of %s is %s because its values expire before they are asked for again: its TTL "
        "is %s",
        name, Percent(rate), DurationText(chosen->present_ttl())));
    Evidence("hit rate", Percent(rate), &row);
    Evidence("TTL", DurationText(chosen->present_ttl()), &row);
    Predicted(*chosen, absl::StrCat("with a TTL of ", ttl), &row);
    row.set_command(PolicyLine(name, absl::StrCat("ttl: ", ttl)));
    SetGain(rate, NetGain(*chosen, reads), &row);
    return true;
  }

  bool SizeTooSmall(const std::string& name, const ReadCounts& reads, double rate) {
    const NamespaceForecast* forecast = Forecast(name);
    const auto counts = window_.counts.namespaces.find(name);
    const uint64_t evictions =
        counts == window_.counts.namespaces.end() ? 0 : counts->second.evictions;
    if (forecast == nullptr || !forecast->larger.has_value() || evictions == 0) return false;
    const WhatIfSum& sum = *forecast->larger;
    if (sum.empty() || !sum.IsSure() || NetGain(sum, reads) < kWorthIt) return false;
    Recommendation& row = Add("size_too_small", "warning", name);
    row.set_summary(absl::StrCat("values of ", name,
                                 " leave memory for want of room before they are asked for again"));
    Evidence("hit rate", Percent(rate), &row);
    Evidence("evictions a second",
             absl::StrFormat("%.1f", window_.PerSecond(static_cast<double>(evictions))), &row);
    Predicted(sum, "with twice the memory", &row);
    row.set_command(absl::StrCat("nodes: --l1-max-bytes ", MebibytesOf(sum.asked().max_bytes()),
                                 "MiB, or a larger max_bytes of the namespace"));
    SetGain(rate, NetGain(sum, reads), &row);
    return true;
  }

  // What L2 answers already is no gain. In points of all reads.
  static double NetGain(const WhatIfSum& sum, const ReadCounts& reads) {
    const double from_l2 = Share(reads.l2.count(), reads.reads());
    return sum.Gain() - from_l2;
  }

  // Requirement 4-04: what is stored and hardly ever read again should not be stored.
  bool Selective(const std::string& name, const ReadCounts& reads, double rate) {
    const auto counts = window_.counts.namespaces.find(name);
    if (counts == window_.counts.namespaces.end()) return false;
    const uint64_t sets = counts->second.sets;
    if (rate >= kLow || sets < kFewReadsToRecommend) return false;
    const double hits_per_set = Share(reads.hits(), sets);
    if (hits_per_set >= kSelective) return false;
    Recommendation& row = Add("be_selective", "warning", name);
    row.set_summary(absl::StrCat("of five values of ", name,
                                 " that are stored fewer than one is ever read again"));
    Evidence("hit rate", Percent(rate), &row);
    Evidence("hits a stored value", absl::StrFormat("%.2f", hits_per_set), &row);
    row.set_command(PolicyLine(name, "bypass_parameters: [names of the filters]"));
    row.set_gain("room for what is read again, and as many writes less");
    return true;
  }

  void HitRateBand(const std::string& name, const ReadCounts& reads, double rate) {
    if (goals_.Of(name).hit_rate > 0) {
      BelowGoal(name, reads);
      return;
    }
    if (rate > kOptimal && rate <= kOverCaching) return;
    const bool over = rate > kOverCaching;
    Recommendation& row = Add(over          ? "over_caching"
                              : rate < kLow ? "hit_rate_low"
                                            : "hit_rate_to_watch",
                              rate < kLow ? "warning" : "info", name);
    row.set_summary(
        over ? absl::StrCat(
                   "hit rate of ", name,
                   " is above 95 %: it may be over-caching; is what it serves fresh enough?")
        : rate < kLow ? absl::StrCat("hit rate of ", name,
                                     " is below 50 %: change its TTL or how it is asked")
                      : absl::StrCat("hit rate of ", name, " is between 50 and 80 %: watch it"));
    Evidence("hit rate", Percent(rate), &row);
    Evidence("reads in 5 minutes", absl::StrCat(reads.reads()), &row);
    row.set_command(over ? "meridianctl staleness " + name : AskLonger(name));
  }

  // Longer than the present one, as far as that is known.
  std::string AskLonger(const std::string& name) const {
    absl::Duration ttl = kAskedTtl;
    const NamespaceForecast* forecast = Forecast(name);
    if (forecast != nullptr && !forecast->longer_ttl.empty()) {
      const absl::Duration present = forecast->longer_ttl.front().present_ttl();
      if (present > absl::ZeroDuration()) ttl = std::min(kTimesLonger * present, kLongestTtl);
    }
    return absl::StrCat("meridianctl what-if ", name, " --ttl ", DurationText(ttl));
  }

  // Who sets a goal says what is enough, and what is not too much.
  void BelowGoal(const std::string& name, const ReadCounts& reads) {
    const Judged rate = JudgeHitRate(reads, goals_.Of(name).hit_rate);
    if (!rate.IsMissed()) return;
    Recommendation& row = Add("hit_rate_below_goal", "warning", name);
    row.set_summary(absl::StrCat("hit rate of ", name, " is ", Percent(rate.value),
                                 ", its goal is ", Percent(rate.goal)));
    Evidence("hit rate", Percent(rate.value), &row);
    Evidence("goal", Percent(rate.goal), &row);
    Evidence("reads in 5 minutes", absl::StrCat(rate.reads), &row);
    row.set_command(AskLonger(name));
  }

  void Promotion(const std::string& name, const ReadCounts& reads) {
    const double late = Share(reads.l2.count(), reads.reads());
    if (late < kLateShare || limit_ == 0 || Share(used_, limit_) > 0.5) return;
    Recommendation& row = Add("promote_earlier", "info", name);
    row.set_summary(absl::StrCat(Percent(late), " of the reads of ", name,
                                 " are answered from Redis although memory has room"));
    Evidence("memory used", Percent(Share(used_, limit_)), &row);
    row.set_command(PolicyLine(name, "promotion_misses: 1, admission: {enabled: false}") +
                    ", or a longer l1_ttl");
    row.set_gain("these reads take less than a millisecond");
  }

  void Compression(const std::string& name) {
    const admin::v1::NamespaceStats& stats = stats_[name];
    if (stats.l1_entries() < 100 || stats.compressed_values() > 0) return;
    const double size =
        static_cast<double>(stats.l1_bytes()) / static_cast<double>(stats.l1_entries());
    if (size < kLargeEntry || limit_ == 0 || Share(used_, limit_) < 0.5) return;
    Recommendation& row = Add("compress", "info", name);
    row.set_summary(absl::StrCat("values of ", name,
                                 " are large and not compressed, and memory is ",
                                 "more than half full"));
    Evidence("mean size", absl::StrFormat("%.0f bytes", size), &row);
    row.set_command(PolicyLine(name, "compression: {enabled: true, threshold: 1024}"));
    row.set_gain("20 to 30 % less memory, if they are text");
  }

  static void Evidence(const std::string& what, const std::string& value, Recommendation* row) {
    (*row->mutable_evidence())[what] = value;
  }

  static void Predicted(const WhatIfSum& sum, const std::string& how, Recommendation* row) {
    Evidence(absl::StrCat("hit rate in memory ", how), Percent(sum.predicted()), row);
    Evidence("hit rate in memory as it is", Percent(sum.hit_rate()), row);
    Evidence("reads that say so", absl::StrCat(sum.requests()), row);
  }

  static void SetGain(double rate, double gain, Recommendation* row) {
    gain = std::min(gain, 1 - rate);
    row->set_gain(absl::StrFormat("hit rate %s -> %s", Percent(rate), Percent(rate + gain)));
    row->set_hit_rate_gain(gain);
  }

  Recommendation& Add(const char* name, const char* severity, const std::string& name_space) {
    Recommendation& row = rows_.emplace_back();
    row.set_name(name);
    row.set_severity(severity);
    row.set_namespace_(name_space);
    return row;
  }

  const RecommendationInputs& inputs_;
  const CountHistory<RegionCounts>::Difference window_;
  const GoalTable goals_;
  std::map<std::string, admin::v1::NamespaceStats> stats_;
  uint64_t used_ = 0;
  uint64_t limit_ = 0;
  absl::Duration uptime_;  // Of the oldest node.
  uint64_t l2_used_ = 0;
  uint64_t l2_limit_ = 0;
  std::vector<Recommendation> rows_;
};

}  // namespace

void WhatIfSum::Add(const admin::v1::WhatIfRequest& asked,
                    const admin::v1::WhatIfResponse& answer) {
  asked_ = asked;
  const double weight = static_cast<double>(answer.requests());
  requests_ += answer.requests();
  hit_rate_ += weight * answer.hit_rate();
  replayed_ += weight * answer.replayed_hit_rate();
  predicted_ += weight * answer.predicted_hit_rate();
  present_ttl_ = absl::Milliseconds(static_cast<int64_t>(answer.present_ttl_ms()));
}

bool WhatIfSum::IsSure() const { return std::abs(replayed() - hit_rate()) <= kReplayError; }

std::vector<Recommendation> Recommendations(const RecommendationInputs& inputs) {
  if (inputs.figures.history().empty()) return {};
  Rules rules(inputs);
  rules.Namespaces();
  rules.HotKeys();
  rules.UnevenLoad();
  rules.RedisTooLarge();
  return rules.Take();
}

std::vector<std::string> DoubtfulNamespaces(const RegionFigures& figures, size_t limit) {
  if (figures.history().empty()) return {};
  const auto window = figures.history().Over(kWindow);
  const GoalTable goals(figures);
  std::vector<std::pair<double, std::string>> doubtful;
  for (const std::string& name : window.end->Names()) {
    const ReadCounts reads = ReadsSince(*window.begin, *window.end, name);
    if (reads.reads() < kFewReadsToRecommend) continue;
    const double rate = Share(reads.hits(), reads.reads());
    if (rate < Wanted(goals, name)) doubtful.emplace_back(rate, name);
  }
  std::sort(doubtful.begin(), doubtful.end());
  std::vector<std::string> names;
  for (auto& [rate, name] : doubtful) {
    if (names.size() < limit) names.push_back(std::move(name));
  }
  return names;
}

}  // namespace meridian
