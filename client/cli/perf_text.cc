// PerfText and PerfJson.
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/duration_text.h"
#include "client/cli/perf_report.h"
#include "client/cli/text_table.h"
#include "common/base/strings.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

using nlohmann::ordered_json;

std::string Ms(double value) { return absl::StrFormat("%.3f", value); }

void AddRow(const std::string& name, const Summary& s, TextTable* table) {
  table->Add({name, Ms(s.mean), Ms(s.std_dev), Ms(s.min), Ms(s.max), Ms(s.p50), Ms(s.p95),
              Ms(s.p99), absl::StrCat(s.count)});
}

TextTable TimesTable() {
  return TextTable({"ms", "mean", "std dev", "min", "max", "p50", "p95", "p99", "samples"});
}

std::string ProblemText(const PerfProblems& problems) {
  if (problems.count == 0) return "";
  return absl::StrCat("\nfailed ", problems.count, ", first: ", problems.first);
}

std::string BackendsText(const PerfBackends& backends) {
  if (backends.nodes.empty()) return absl::StrCat("not known: ", backends.problem);
  TextTable table({"region", "node", "version", "memory", "redis", "breaker", "L1 entries",
                   "L1 MiB", "answers from"});
  std::string away;
  for (const PerfBackend& node : backends.nodes) {
    if (!node.problem.empty()) {
      absl::StrAppend(&away, "\n", node.address, " does not answer: ", node.problem);
      continue;
    }
    table.Add({node.region, node.node, node.version, "active", node.redis,
               node.breaker.empty() ? "-" : node.breaker, absl::StrCat(node.l1_entries),
               absl::StrFormat("%.1f/%.1f", static_cast<double>(node.l1_bytes) / (1 << 20),
                               static_cast<double>(node.l1_limit_bytes) / (1 << 20)),
               node.fallback_chain});
  }
  return table.ToText() + away;
}

std::string PairsText(const PairsResult& pairs, const PerfValues& values) {
  std::string how =
      absl::StrCat("uncached is asked for past the cache: ", pairs.UncachedSourcesText());
  if (!pairs.of_origin) {
    how = absl::StrCat("uncached is a miss and the Set after it, ",
                       values.origin_delay > absl::ZeroDuration()
                           ? absl::StrCat("with ", DurationText(values.origin_delay),
                                          " between them in place of an origin")
                           : "without the time of an origin (--origin-delay)");
  }
  TextTable each({"key", "uncached ms", "from", "cached ms", "from"});
  for (const PerfPair& pair : pairs.pairs) {
    each.Add({QuoteKey(pair.key), Ms(pair.uncached_ms), pair.uncached_source, Ms(pair.cached_ms),
              pair.cached_source});
  }
  TextTable times = TimesTable();
  AddRow("uncached", pairs.Uncached(), &times);
  if (const auto sources = pairs.UncachedSources(); sources.size() > 1) {
    for (const auto& [source, count] : sources) {
      AddRow(absl::StrCat("  ", source), pairs.UncachedOf(source), &times);
    }
  }
  AddRow("cached", pairs.Cached(), &times);
  constexpr size_t kFew = 20;
  return absl::StrCat(how, "\n", pairs.pairs.size() > kFew ? "" : each.ToText() + "\n",
                      times.ToText(), "\n",
                      absl::StrFormat("speed-up %.2fx; a hit saves %.3f ms (%.1f %%)",
                                      pairs.SpeedUp(), pairs.SavedMs(), pairs.SavedPercent()),
                      ProblemText(pairs.problems));
}

std::string HitRateText(const HitRateResult& test) {
  TextTable times = TimesTable();
  AddRow("all", test.Times(), &times);
  AddRow("hits", test.TimesOf(true), &times);
  AddRow("misses", test.TimesOf(false), &times);
  std::string tiers;
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    absl::StrAppend(&tiers, tier > 0 ? ", " : "", kReplayTiers[tier], " ", test.by_tier[tier]);
  }
  return absl::StrCat(
      test.answered(), " requests, 80 % of them for ", test.options.popular, " of ",
      test.options.items(), " items: ", tiers, "\n",
      absl::StrFormat("hit rate %.1f %% of %.1f %% possible, mean %.2f ms, effectiveness %s\n",
                      100 * test.Rate(), 100 * test.PossibleRate(), test.Times().mean,
                      EffectivenessOf(test.Rate())),
      times.ToText(), ProblemText(test.problems));
}

std::string LoadText(const LoadResult& load) {
  TextTable times({"latency, ms", "p50", "p95", "p99", "samples"});
  const auto row = [&](const std::string& name, const LatencySamples& samples) {
    if (samples.count() == 0) return;
    times.Add({name, Ms(samples.Percentile(0.50) / 1000), Ms(samples.Percentile(0.95) / 1000),
               Ms(samples.Percentile(0.99) / 1000), absl::StrCat(samples.count())});
  };
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    row(absl::StrCat("Get, ", kReplayTiers[tier]), load.stats.get_latency[tier]);
  }
  row("BatchGet", load.stats.batch_get_latency);
  row("BatchSet", load.stats.batch_set_latency);
  const RegionStats all = load.All();
  return absl::StrCat(
      absl::StrFormat("%d requests in %.1f s: %.0f requests/s from %d threads, batches of %d, "
                      "%d keys, %d %% writes\n",
                      all.requests, absl::ToDoubleSeconds(load.elapsed), load.RequestsPerSecond(),
                      load.options.concurrency, load.options.batch, load.options.keys,
                      load.options.set_percent),
      absl::StrFormat("hit rate %.2f %% (L1 %d, L2 %d, origin %d, miss %d)\n", 100 * load.Rate(),
                      all.by_tier[0], all.by_tier[1], all.by_tier[2], all.by_tier[3]),
      times.ToText(), "\nerrors ", load.stats.errors.count(), load.stats.errors.ToText(),
      "\nmismatches ", load.stats.mismatches.count(), load.stats.mismatches.ToText());
}

ordered_json ProblemsJson(const PerfProblems& problems) {
  return {{"count", problems.count}, {"first", problems.first}};
}

ordered_json BackendsJson(const PerfBackends& backends) {
  ordered_json list = ordered_json::array();
  for (const PerfBackend& node : backends.nodes) {
    ordered_json json = {{"address", node.address}};
    if (node.problem.empty()) {
      json.update({{"node", node.node},
                   {"region", node.region},
                   {"version", node.version},
                   {"memory", "active"},
                   {"redis", node.redis},
                   {"breaker", node.breaker},
                   {"fallback_chain", node.fallback_chain},
                   {"l1_entries", node.l1_entries},
                   {"l1_bytes", node.l1_bytes},
                   {"l1_limit_bytes", node.l1_limit_bytes}});
    } else {
      json["problem"] = node.problem;
    }
    list.push_back(std::move(json));
  }
  return list;
}

ordered_json PairsJson(const PairsResult& pairs) {
  ordered_json each = ordered_json::array();
  for (const PerfPair& pair : pairs.pairs) {
    ordered_json json = ordered_json::object();
    PutBytes("key", pair.key, &json);
    json["uncached_ms"] = pair.uncached_ms;
    json["uncached_source"] = pair.uncached_source;
    json["cached_ms"] = pair.cached_ms;
    json["cached_source"] = pair.cached_source;
    each.push_back(std::move(json));
  }
  return {{"iterations", pairs.pairs.size()},
          {"of_origin", pairs.of_origin},
          {"uncached_sources", pairs.UncachedSources()},
          {"uncached", ToJson(pairs.Uncached())},
          {"cached", ToJson(pairs.Cached())},
          {"speed_up", pairs.SpeedUp()},
          {"time_saved_per_hit_ms", pairs.SavedMs()},
          {"time_saved_percent", pairs.SavedPercent()},
          {"failed", ProblemsJson(pairs.problems)},
          {"pairs", std::move(each)}};
}

ordered_json HitRateJson(const HitRateResult& test) {
  return {{"requests", test.answered()},
          {"popular_items", test.options.popular},
          {"items", test.options.items()},
          {"l1_hits", test.by_tier[0]},
          {"l2_hits", test.by_tier[1]},
          {"origin_hits", test.by_tier[2]},
          {"misses", test.by_tier[3]},
          {"hit_rate_percent", 100 * test.Rate()},
          {"possible_hit_rate_percent", 100 * test.PossibleRate()},
          {"average_ms", test.Times().mean},
          {"effectiveness", EffectivenessOf(test.Rate())},
          {"all", ToJson(test.Times())},
          {"hits", ToJson(test.TimesOf(true))},
          {"failed", ProblemsJson(test.problems)}};
}

ordered_json LoadJson(const LoadResult& load) {
  const RegionStats all = load.All();
  ordered_json latency = ordered_json::object();
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    latency["get_" + absl::AsciiStrToLower(kReplayTiers[tier])] =
        load.stats.get_latency[tier].ToJson();
  }
  latency["batch_get"] = load.stats.batch_get_latency.ToJson();
  latency["batch_set"] = load.stats.batch_set_latency.ToJson();
  ordered_json points = ordered_json::array();
  for (const LoadPoint& point : load.points) {
    points.push_back({{"seconds", point.seconds},
                      {"requests_per_second", point.requests_per_second},
                      {"hit_rate", point.hit_rate}});
  }
  return {{"requests", all.requests},
          {"seconds", absl::ToDoubleSeconds(load.elapsed)},
          {"requests_per_second", load.RequestsPerSecond()},
          {"concurrency", load.options.concurrency},
          {"batch", load.options.batch},
          {"keys", load.options.keys},
          {"hit_rate", load.Rate()},
          {"by_tier",
           {{"l1", all.by_tier[0]},
            {"l2", all.by_tier[1]},
            {"origin", all.by_tier[2]},
            {"miss", all.by_tier[3]}}},
          {"sets", all.sets},
          {"latency", std::move(latency)},
          {"errors", load.stats.errors.ToJson()},
          {"mismatches", load.stats.mismatches.ToJson()},
          {"gave_up", load.gave_up},
          {"points", std::move(points)}};
}

}  // namespace

std::string PerfText(const PerfReport& report) {
  std::string text =
      absl::StrCat("Cache performance report, ", BeganText(report), "\ntarget    ", report.target,
                   "\nnamespace ", report.name_space, ", values of ", report.values.bytes,
                   " bytes\n\nBackends\n", BackendsText(report.backends), "\n");
  if (report.pairs.ran) {
    absl::StrAppend(&text, "\nUncached and cached\n", PairsText(report.pairs, report.values), "\n");
  }
  if (report.hit_rate.ran) {
    absl::StrAppend(&text, "\nHit rate, 80/20\n", HitRateText(report.hit_rate), "\n");
  }
  if (report.load.ran) absl::StrAppend(&text, "\nLoad\n", LoadText(report.load), "\n");
  absl::StrAppend(&text, "\nRecommendations\n");
  if (report.recommendations.empty()) absl::StrAppend(&text, "none\n");
  for (const std::string& advice : report.recommendations) {
    absl::StrAppend(&text, "- ", advice, "\n");
  }
  absl::StrAppend(&text, "\n", report.written_keys, " keys written by the tests, ",
                  report.written_keys - report.not_removed_keys, " of them removed");
  if (report.not_removed_keys > 0) {
    absl::StrAppend(&text, ", ", report.not_removed_keys, " are left and go within ",
                    DurationText(report.values.ttl));
  }
  if (report.pairs.of_origin) absl::StrAppend(&text, "; keys of yours stay where they are");
  if (report.signal != 0) {
    absl::StrAppend(&text, "\nended by signal ", report.signal, ": this was measured until then");
  }
  return text;
}

ordered_json PerfJson(const PerfReport& report) {
  ordered_json json = {
      {"began", absl::FormatTime(absl::RFC3339_sec, report.began, absl::UTCTimeZone())},
      {"target", report.target},
      {"namespace", report.name_space},
      {"value_bytes", report.values.bytes},
      {"origin_delay_ms", absl::ToDoubleMilliseconds(report.values.origin_delay)},
      {"good", report.Good()},
      {"signal", report.signal},
      {"backends", BackendsJson(report.backends)}};
  if (!report.backends.problem.empty()) json["backends_problem"] = report.backends.problem;
  if (report.pairs.ran) json["pairs"] = PairsJson(report.pairs);
  if (report.hit_rate.ran) json["hit_rate"] = HitRateJson(report.hit_rate);
  if (report.load.ran) json["load"] = LoadJson(report.load);
  json["recommendations"] = report.recommendations;
  json["written_keys"] = report.written_keys;
  json["not_removed_keys"] = report.not_removed_keys;
  return json;
}

}  // namespace meridian::cli
