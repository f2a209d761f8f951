// PerfHtml: the report as a page of its own, with plots and without a request to anybody.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/perf_report.h"
#include "client/cli/svg_plot.h"

namespace meridian::cli {
namespace {

constexpr char kHead[] = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Cache performance report</title>
<style>
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fff; --line: #d5dbe3; --dim: #5b6675;
  --c0: #c2571a; --c1: #1769aa; --c2: #2e7d4f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --paper: #12161c; --line: #333c48;
  --dim: #9aa6b5; --c0: #f0965a; --c1: #6db3ee; --c2: #74c993; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: left; }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem; }
.tiles div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; }
.tiles b { display: block; font-size: 1.4rem; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--dim); }
.grid { stroke: var(--line); }
.bar-0 { fill: var(--c0); } .bar-1 { fill: var(--c1); } .bar-2 { fill: var(--c2); }
.line-0 { fill: none; stroke-width: 2; stroke: var(--c0); }
svg .legend-0 { fill: var(--c0); } svg .legend-1 { fill: var(--c1); } svg .legend-2 { fill: var(--c2); }
</style>
</head>
<body>
)html";

using Rows = std::vector<std::vector<std::string>>;

std::string Cells(const std::vector<std::string>& row, const char* tag) {
  std::string html = "<tr>";
  for (const std::string& cell : row) {
    absl::StrAppend(&html, "<", tag, ">", HtmlEscape(cell), "</", tag, ">");
  }
  return html + "</tr>\n";
}

std::string Table(const std::vector<std::string>& header, const Rows& rows) {
  std::string html = absl::StrCat("<div class=\"scroll\"><table>\n", Cells(header, "th"));
  for (const auto& row : rows) html += Cells(row, "td");
  return html + "</table></div>\n";
}

std::string Tile(const std::string& value, const std::string& what) {
  return absl::StrCat("<div><b>", HtmlEscape(value), "</b>", HtmlEscape(what), "</div>");
}

std::string Ms(double value) { return absl::StrFormat("%.3f ms", value); }

std::vector<std::string> SummaryRow(const std::string& name, const Summary& s) {
  return {name,      Ms(s.mean), Ms(s.std_dev), Ms(s.min),
          Ms(s.max), Ms(s.p50),  Ms(s.p99),     absl::StrCat(s.count)};
}

const std::vector<std::string>& SummaryHeader() {
  static const auto& header =
      *new std::vector<std::string>({"", "mean", "std dev", "min", "max", "p50", "p99", "samples"});
  return header;
}

std::string Tiles(const PerfReport& report) {
  std::string html = "<div class=\"tiles\">";
  if (!report.pairs.pairs.empty()) {
    absl::StrAppend(&html, Tile(absl::StrFormat("%.2fx", report.pairs.SpeedUp()), "speed-up"),
                    Tile(Ms(report.pairs.Uncached().mean), "uncached, mean"),
                    Tile(Ms(report.pairs.Cached().mean), "cached, mean"));
  }
  if (report.hit_rate.answered() > 0) {
    absl::StrAppend(
        &html, Tile(absl::StrFormat("%.1f %%", 100 * report.hit_rate.Rate()), "hit rate, 80/20"));
  }
  if (report.load.ran) {
    absl::StrAppend(&html, Tile(absl::StrFormat("%.0f/s", report.load.RequestsPerSecond()),
                                "requests under load"));
  }
  return html + "</div>\n";
}

std::string Backends(const PerfBackends& backends) {
  if (backends.nodes.empty()) {
    return absl::StrCat("<p>Not known: ", HtmlEscape(backends.problem), "</p>\n");
  }
  Rows rows;
  for (const PerfBackend& node : backends.nodes) {
    if (!node.problem.empty()) {
      rows.push_back({node.address, "does not answer: " + node.problem, "", "", ""});
    } else {
      rows.push_back({node.node, node.version, "active", node.redis, node.fallback_chain});
    }
  }
  return Table({"node", "version", "memory", "redis", "answers from"}, rows);
}

std::string Pairs(const PairsResult& pairs) {
  std::vector<std::string> names;
  PlotBars uncached{"uncached", {}};
  PlotBars cached{"cached", {}};
  for (size_t i = 0; i < pairs.pairs.size(); ++i) {
    names.push_back(absl::StrCat(i + 1));
    uncached.values.push_back(pairs.pairs[i].uncached_ms);
    cached.values.push_back(pairs.pairs[i].cached_ms);
  }
  return absl::StrCat(
      BarPlot({"Uncached and cached by iteration", "iteration", "ms"}, names, {uncached, cached}),
      Table(SummaryHeader(),
            {SummaryRow(absl::StrCat("uncached", pairs.of_origin ? ", " : "",
                                     pairs.of_origin ? pairs.UncachedSourcesText() : ""),
                        pairs.Uncached()),
             SummaryRow("cached", pairs.Cached())}));
}

// The hit rate of all requests so far, by request.
std::string HitRate(const HitRateResult& test) {
  PlotLine rate{"hit rate so far, %"};
  uint64_t hits = 0;
  const size_t every = test.hits.size() / 500 + 1;  // A page need not be large.
  for (size_t i = 0; i < test.hits.size(); ++i) {
    hits += test.hits[i] ? 1 : 0;
    if (i % every != 0 && i + 1 != test.hits.size()) continue;
    const auto requests = static_cast<double>(i + 1);
    rate.points.emplace_back(requests, 100 * static_cast<double>(hits) / requests);
  }
  return absl::StrCat("<p>", test.Hits(), " of ", test.answered(), " requests were hits, ",
                      test.possible_hits, " could be; effectiveness ", EffectivenessOf(test.Rate()),
                      ".</p>\n", LinePlot({"Hit rate, 80/20", "requests", "%"}, {rate}),
                      Table(SummaryHeader(), {SummaryRow("all", test.Times()),
                                              SummaryRow("hits", test.TimesOf(true)),
                                              SummaryRow("misses", test.TimesOf(false))}));
}

std::string Load(const LoadResult& load) {
  PlotLine requests{"requests/s"};
  for (const LoadPoint& point : load.points) {
    requests.points.emplace_back(point.seconds, point.requests_per_second);
  }
  std::vector<std::string> names;
  std::vector<PlotBars> bars = {{"p50", {}}, {"p95", {}}, {"p99", {}}};
  const auto add = [&](const std::string& name, const LatencySamples& samples) {
    if (samples.count() == 0) return;
    names.push_back(name);
    bars[0].values.push_back(samples.Percentile(0.50) / 1000);
    bars[1].values.push_back(samples.Percentile(0.95) / 1000);
    bars[2].values.push_back(samples.Percentile(0.99) / 1000);
  };
  for (size_t tier = 0; tier < kReplayTiers.size(); ++tier) {
    add(absl::StrCat("Get, ", kReplayTiers[tier]), load.stats.get_latency[tier]);
  }
  add("BatchGet", load.stats.batch_get_latency);
  add("BatchSet", load.stats.batch_set_latency);
  return absl::StrCat("<p>", load.All().requests, " requests, ", load.options.concurrency,
                      " threads, batches of ", load.options.batch, "; hit rate ",
                      absl::StrFormat("%.2f %%", 100 * load.Rate()), ", errors ",
                      load.stats.errors.count(), ", wrong answers ", load.stats.mismatches.count(),
                      ".</p>\n", LinePlot({"Requests a second", "s", "requests/s"}, {requests}),
                      BarPlot({"Latency under load", "", "ms"}, names, bars));
}

std::string Section(const char* title, const std::string& body) {
  return absl::StrCat("<h2>", title, "</h2>\n", body);
}

}  // namespace

std::string PerfHtml(const PerfReport& report) {
  std::string html = absl::StrCat(
      kHead, "<h1>Cache performance report</h1>\n<p>", HtmlEscape(BeganText(report)), ", ",
      HtmlEscape(report.target), ", namespace ", HtmlEscape(report.name_space), ", values of ",
      report.values.bytes, " bytes</p>\n",
      report.signal != 0 ? "<p><b>Ended early: this was measured until then.</b></p>\n" : "",
      Tiles(report), Section("Backends", Backends(report.backends)));
  if (report.pairs.ran) html += Section("Uncached and cached", Pairs(report.pairs));
  if (report.hit_rate.ran) html += Section("Hit rate, 80/20", HitRate(report.hit_rate));
  if (report.load.ran) html += Section("Load", Load(report.load));
  std::string advice;
  for (const std::string& line : report.recommendations) {
    absl::StrAppend(&advice, "<li>", HtmlEscape(line), "</li>\n");
  }
  absl::StrAppend(
      &html,
      Section("Recommendations",
              advice.empty() ? "<p>None.</p>\n" : absl::StrCat("<ul>\n", advice, "</ul>\n")),
      "</body>\n</html>\n");
  return html;
}

}  // namespace meridian::cli
