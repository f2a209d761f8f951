#include "client/cli/top_screen.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/duration_text.h"
#include "client/cli/text_table.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

std::string MiB(uint64_t bytes, uint64_t limit) {
  const auto mib = [](uint64_t b) { return static_cast<double>(b) / (1 << 20); };
  return limit == 0 ? absl::StrFormat("%.1f", mib(bytes))
                    : absl::StrFormat("%.1f/%.0f", mib(bytes), mib(limit));
}

std::string Percent(double share) { return absl::StrFormat("%.1f", 100 * share); }

void AddRow(const TopRow& row, const Style& style, TextTable* table) {
  if (!row.problem.empty()) {
    table->Add({row.region.empty() ? "-" : row.region, row.node, style.Red("away")});
    return;
  }
  const auto rated = [&](const std::string& text) { return row.has_rates ? text : "-"; };
  const auto read = [&](double part) { return row.Reads() > 0 ? Percent(row.Share(part)) : "-"; };
  const auto time = [&](double quantile) {
    return row.call_latency.count() > 0 ? absl::StrFormat("%.2f", row.QuantileMs(quantile)) : "-";
  };
  const auto failed = [&](double rate) {
    const std::string text = absl::StrFormat("%.1f", rate);
    return rated(rate > 0 ? style.Red(text) : text);
  };
  table->Add({row.region, row.node == "all" ? style.Bold("all") : row.node,
              rated(absl::StrFormat("%.0f", row.calls)),
              rated(absl::StrFormat("%.0f", row.Reads())), read(row.l1_hits), read(row.l2_hits),
              read(row.misses), rated(time(0.50)), rated(time(0.99)), failed(row.failed_calls),
              failed(row.read_errors), MiB(row.l1_bytes, row.l1_limit_bytes),
              row.l2_used_bytes == 0 ? "-" : MiB(row.l2_used_bytes, row.l2_limit_bytes),
              DurationText(row.lag), rated(Percent(row.cpu))});
}

std::string HotKeysText(const TopView& view, const Style& style) {
  if (!view.wants_hot_keys) return "";
  std::string text = "\n\n";
  if (!view.hot_keys.empty()) {
    TextTable hot({"region", "node", "namespace", "hot key", "reads/s"});
    for (const TopHotKey& key : view.hot_keys) {
      hot.Add({key.region, key.node, key.name_space, QuoteKey(key.key),
               absl::StrFormat("%.1f", key.rate)});
    }
    absl::StrAppend(&text, hot.ToText(), view.hot_keys_unknown.empty() ? "" : "\n");
  } else if (view.hot_keys_unknown.empty()) {
    return text + "no hot keys";
  }
  if (!view.hot_keys_unknown.empty()) {
    absl::StrAppend(&text, style.Yellow("hot keys not known of "),
                    absl::StrJoin(view.hot_keys_unknown, ", "));
  }
  return text;
}

}  // namespace

std::vector<TopRow> TopView::Regions() const {
  std::map<std::string, std::pair<int, TopRow>> regions;
  for (const TopRow& node : nodes) {
    if (!node.problem.empty()) continue;
    auto& [count, sum] = regions[node.region];
    ++count;
    AddTo(&sum, node);
  }
  std::vector<TopRow> sums;
  for (auto& [name, region] : regions) {
    if (region.first < 2) continue;
    region.second.node = "all";
    sums.push_back(std::move(region.second));
  }
  return sums;
}

std::string TopText(const TopView& view, const Style& style) {
  TextTable table({"region", "node", "calls/s", "reads/s", "L1 %", "L2 %", "miss %", "p50 ms",
                   "p99 ms", "failed/s", "errors/s", "L1 MiB", "Redis MiB", "lag", "CPU %"});
  for (const TopRow& row : view.nodes) AddRow(row, style, &table);
  for (const TopRow& row : view.Regions()) AddRow(row, style, &table);
  std::string text =
      absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", view.at, absl::LocalTimeZone()), ", ",
                   view.nodes.size(), " nodes\n\n", table.ToText());
  for (const TopRow& row : view.nodes) {
    if (!row.problem.empty()) {
      absl::StrAppend(&text, "\n", style.Red(row.node), ": ", row.problem);
    }
  }
  return text + HotKeysText(view, style);
}

nlohmann::ordered_json TopJson(const TopView& view) {
  nlohmann::ordered_json nodes = nlohmann::ordered_json::array();
  for (const TopRow& row : view.nodes) nodes.push_back(ToJson(row));
  nlohmann::ordered_json regions = nlohmann::ordered_json::array();
  for (const TopRow& row : view.Regions()) regions.push_back(ToJson(row));
  nlohmann::ordered_json keys = nlohmann::ordered_json::array();
  for (const TopHotKey& key : view.hot_keys) {
    keys.push_back({{"region", key.region},
                    {"node", key.node},
                    {"namespace", key.name_space},
                    {"key", key.key},
                    {"reads_per_second", key.rate}});
  }
  return {{"at", absl::FormatTime(absl::RFC3339_sec, view.at, absl::UTCTimeZone())},
          {"nodes", std::move(nodes)},
          {"regions", std::move(regions)},
          {"hot_keys", std::move(keys)},
          {"hot_keys_unknown", view.hot_keys_unknown}};
}

std::string InPlace(const std::string& text, size_t rows, size_t columns) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (rows > 1 && lines.size() > rows - 1) lines.resize(rows - 1);
  std::string screen = "\033[H";
  for (const std::string& line : lines) {
    absl::StrAppend(&screen, columns > 0 ? CutToWidth(line, columns) : line, "\033[K\r\n");
  }
  return screen + "\033[J";
}

}  // namespace meridian::cli
