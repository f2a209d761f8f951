#include "client/cli/replay_stats.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text_table.h"

namespace meridian::cli {
namespace {

using nlohmann::ordered_json;

std::string Percent(uint64_t part, uint64_t whole) {
  return whole == 0 ? "-" : absl::StrFormat("%.2f %%", 100.0 * part / whole);
}

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// 1234567 -> "1,234,567".
std::string Grouped(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

uint64_t Hits(const RegionStats& stats) {
  return stats.by_tier[0] + stats.by_tier[1] + stats.by_tier[2];
}

RegionStats Sum(const std::vector<RegionStats>& regions) {
  RegionStats sum;
  for (const RegionStats& region : regions) sum.Merge(region);
  return sum;
}

std::vector<std::string> LatencyRow(const std::string& name, const LatencySamples& samples) {
  const auto ms = [&](double share) {
    return absl::StrFormat("%.3f", samples.Percentile(share) / 1000);
  };
  return {name, ms(0.50), ms(0.95), ms(0.99), Grouped(samples.count())};
}

std::string TrafficTable(const ReplayReport& report) {
  std::vector<std::string> header = {""};
  header.insert(header.end(), report.regions.begin(), report.regions.end());
  header.push_back("all");
  std::vector<RegionStats> columns = report.stats.regions;
  columns.push_back(Sum(report.stats.regions));
  TextTable table(std::move(header));
  const auto row = [&](const std::string& name, auto cell) {
    std::vector<std::string> cells = {name};
    for (const RegionStats& column : columns) cells.push_back(cell(column));
    table.Add(std::move(cells));
  };
  row("requests", [](const RegionStats& s) { return Grouped(s.requests); });
  row("gets", [](const RegionStats& s) { return Grouped(s.gets); });
  row("hit rate", [](const RegionStats& s) { return Percent(Hits(s), s.gets); });
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    row(absl::StrCat("  ", kReplayTiers[tier]),
        [tier](const RegionStats& s) { return Percent(s.by_tier[tier], s.gets); });
  }
  row("sets", [](const RegionStats& s) { return Grouped(s.sets); });
  row("invalidations", [](const RegionStats& s) { return Grouped(s.invalidations); });
  row("degraded writes", [](const RegionStats& s) { return Grouped(s.degraded); });
  return table.ToText();
}

std::string LatencyTable(const ReplayReport& report) {
  TextTable table({"latency, ms", "p50", "p95", "p99", "samples"});
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    if (report.stats.get_latency[tier].count() == 0) continue;
    table.Add(
        LatencyRow(absl::StrCat("Get, ", kReplayTiers[tier]), report.stats.get_latency[tier]));
  }
  table.Add(LatencyRow("BatchGet", report.stats.batch_get_latency));
  table.Add(LatencyRow("BatchSet", report.stats.batch_set_latency));
  if (report.propagation.ran) {
    table.Add(LatencyRow("set seen in other regions", report.propagation.set_visible));
    table.Add(LatencyRow("invalidation seen there", report.propagation.invalidate_visible));
  }
  return table.ToText();
}

}  // namespace

double LatencySamples::Percentile(double share) const {
  if (samples_.empty()) return 0;
  std::vector<float> sorted = samples_;
  const size_t rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  const size_t index = std::min(std::max<size_t>(rank, 1), sorted.size()) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(index),
                   sorted.end());
  return sorted[index];
}

ordered_json LatencySamples::ToJson() const {
  return {{"p50_us", std::round(Percentile(0.50))},
          {"p95_us", std::round(Percentile(0.95))},
          {"p99_us", std::round(Percentile(0.99))},
          {"samples", count()}};
}

void RegionStats::Merge(const RegionStats& other) {
  requests += other.requests;
  gets += other.gets;
  for (size_t i = 0; i < by_tier.size(); ++i) by_tier[i] += other.by_tier[i];
  sets += other.sets;
  invalidations += other.invalidations;
  degraded += other.degraded;
}

void ProblemList::Add(const std::string& reason, const std::string& example, uint64_t count) {
  Kind& kind = kinds_[reason];
  if (kind.count == 0) kind.example = example;
  kind.count += count;
  count_ += count;
}

void ProblemList::Merge(const ProblemList& other) {
  for (const auto& [reason, kind] : other.kinds_) Add(reason, kind.example, kind.count);
}

ordered_json ProblemList::ToJson() const {
  ordered_json list = ordered_json::array();
  for (const auto& [reason, kind] : kinds_) {
    list.push_back({{"reason", reason}, {"count", kind.count}, {"example", kind.example}});
  }
  return list;
}

std::string ProblemList::ToText() const {
  std::string text;
  for (const auto& [reason, kind] : kinds_) {
    absl::StrAppend(&text, "\n  ", Grouped(kind.count), " x ", reason, ", for example ",
                    kind.example);
  }
  return text;
}

void ReplayStats::Merge(const ReplayStats& other) {
  regions.resize(std::max(regions.size(), other.regions.size()));
  for (size_t i = 0; i < other.regions.size(); ++i) regions[i].Merge(other.regions[i]);
  for (size_t i = 0; i < get_latency.size(); ++i) get_latency[i].Merge(other.get_latency[i]);
  batch_get_latency.Merge(other.batch_get_latency);
  batch_set_latency.Merge(other.batch_set_latency);
  errors.Merge(other.errors);
  mismatches.Merge(other.mismatches);
}

bool ReplayReport::Good() const {
  return !interrupted && stats.errors.count() == 0 && stats.mismatches.count() == 0 &&
         propagation.failures.count() == 0 && diff.differing.count() == 0;
}

std::string ReplayReport::ToText() const {
  const RegionStats sum = Sum(stats.regions);
  const double seconds = std::max(absl::ToDoubleSeconds(elapsed), 1e-9);
  std::string text = absl::StrFormat(
      "replay of %s: %s requests in %.1f s, %s requests/s\n\n", source, Grouped(sum.requests),
      seconds, Grouped(static_cast<uint64_t>(static_cast<double>(sum.requests) / seconds)));
  absl::StrAppend(&text, TrafficTable(*this), "\n\n", LatencyTable(*this), "\n\n");
  if (diff.ran) {
    absl::StrAppend(&text, "differing keys  ", Grouped(diff.differing.count()), " of ",
                    Grouped(diff.compared), " compared (", Grouped(diff.keys), " touched, ",
                    Grouped(diff.expiring), " about to expire), settled after ",
                    absl::StrFormat("%.2f s", absl::ToDoubleSeconds(diff.settled_after)),
                    diff.differing.ToText(), "\n");
  }
  if (propagation.ran) {
    absl::StrAppend(&text, "not propagated  ", Grouped(propagation.failures.count()),
                    propagation.failures.ToText(), "\n");
  }
  absl::StrAppend(&text, "errors          ", Grouped(stats.errors.count()), stats.errors.ToText(),
                  "\nmismatches      ", Grouped(stats.mismatches.count()),
                  stats.mismatches.ToText());
  if (stats.mismatches.Has(kForeignBytes)) {
    absl::StrAppend(
        &text,
        "\nOf FOREIGN_BYTES the replay has written none: namespaces with an origin load "
        "what they miss, or\nsomebody else writes there. Replay into a cluster without, "
        "such as scripts/local-cluster up, without --origin.");
  }
  if (signal != 0) {
    absl::StrAppend(&text, "\nended by signal ", signal, ": this is what was done until then");
  } else if (interrupted) {
    absl::StrAppend(&text, "\ngave up: too many calls failed one after the other");
  }
  return text;
}

ordered_json ReplayReport::ToJson() const {
  const auto of_region = [](const RegionStats& s) {
    ordered_json json = {
        {"requests", s.requests}, {"gets", s.gets}, {"hit_rate", Share(Hits(s), s.gets)}};
    for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
      json[absl::AsciiStrToLower(kReplayTiers[tier]) + "_rate"] = Share(s.by_tier[tier], s.gets);
    }
    json["sets"] = s.sets;
    json["invalidations"] = s.invalidations;
    json["degraded"] = s.degraded;
    return json;
  };
  ordered_json json = of_region(Sum(stats.regions));
  json["source"] = source;
  json["seconds"] = absl::ToDoubleSeconds(elapsed);
  json["requests_per_second"] =
      static_cast<double>(Sum(stats.regions).requests) / absl::ToDoubleSeconds(elapsed);
  json["interrupted"] = interrupted;
  for (size_t i = 0; i < stats.regions.size(); ++i) {
    json["regions"][regions[i]] = of_region(stats.regions[i]);
  }
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    json["latency"]["get_" + absl::AsciiStrToLower(kReplayTiers[tier])] =
        stats.get_latency[tier].ToJson();
  }
  json["latency"]["batch_get"] = stats.batch_get_latency.ToJson();
  json["latency"]["batch_set"] = stats.batch_set_latency.ToJson();
  json["errors"] = stats.errors.count();
  json["error_reasons"] = stats.errors.ToJson();
  json["mismatches"] = stats.mismatches.count();
  json["mismatch_reasons"] = stats.mismatches.ToJson();
  if (propagation.ran) {
    json["propagation"] = {{"set", propagation.set_visible.ToJson()},
                           {"invalidate", propagation.invalidate_visible.ToJson()},
                           {"failures", propagation.failures.count()},
                           {"failure_reasons", propagation.failures.ToJson()}};
  }
  if (diff.ran) {
    json["differing_keys"] = diff.differing.count();
    json["compared_keys"] = diff.compared;
    json["expiring_keys"] = diff.expiring;
    json["settled_seconds"] = absl::ToDoubleSeconds(diff.settled_after);
    json["differing_reasons"] = diff.differing.ToJson();
  }
  return json;
}

}  // namespace meridian::cli
