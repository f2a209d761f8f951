#include "client/cli/top_rates.h"

#include <algorithm>

#include "common/telemetry/fine_latency.h"

namespace meridian::cli {
namespace {

using admin::v1::GetFiguresResponse;

// Zeros at the end are left out on the wire.
HistogramSnapshot SnapshotOf(const GetFiguresResponse& figures) {
  HistogramSnapshot snapshot;
  snapshot.bounds = {figures.latency_bounds().begin(), figures.latency_bounds().end()};
  const auto& counts = figures.call_latency().counts();
  snapshot.counts = {counts.begin(), counts.end()};
  snapshot.counts.resize(snapshot.bounds.size() + 1);
  snapshot.sum = figures.call_latency().seconds();
  return InBounds(snapshot, LatencyBounds());  // Those that calls are counted in.
}

struct Reads {
  uint64_t l1_hits = 0;
  uint64_t l2_hits = 0;
  uint64_t misses = 0;
  uint64_t errors = 0;
};

Reads ReadsOf(const GetFiguresResponse& figures) {
  Reads reads;
  for (const admin::v1::NamespaceFigures& row : figures.namespaces()) {
    reads.l1_hits += row.l1_hits();
    reads.l2_hits += row.l2_hits();
    reads.misses += row.misses();
    reads.errors += row.errors();
  }
  return reads;
}

}  // namespace

TopRow RowOf(const GetFiguresResponse* earlier, const GetFiguresResponse& now) {
  TopRow row;
  row.region = now.region();
  row.node = now.node();
  row.l1_bytes = now.status().l1_bytes();
  row.l1_limit_bytes = now.status().l1_limit_bytes();
  row.l2_used_bytes = now.l2_used_bytes();
  row.l2_limit_bytes = now.l2_limit_bytes();
  for (const admin::v1::ReplicationLink& link : now.links()) {
    row.lag = std::max(row.lag, absl::Milliseconds(static_cast<int64_t>(link.lag_ms())));
  }
  if (earlier == nullptr || earlier->incarnation() != now.incarnation() ||
      earlier->at_unix_ms() >= now.at_unix_ms()) {
    return row;
  }
  row.has_rates = true;
  const double seconds = static_cast<double>(now.at_unix_ms() - earlier->at_unix_ms()) / 1000;
  const auto rate = [seconds](uint64_t before, uint64_t after) {
    return after > before ? static_cast<double>(after - before) / seconds : 0;
  };
  const Reads before = ReadsOf(*earlier);
  const Reads after = ReadsOf(now);
  row.calls = rate(earlier->calls(), now.calls());
  row.failed_calls = rate(earlier->failed_calls(), now.failed_calls());
  row.l1_hits = rate(before.l1_hits, after.l1_hits);
  row.l2_hits = rate(before.l2_hits, after.l2_hits);
  row.misses = rate(before.misses, after.misses);
  row.read_errors = rate(before.errors, after.errors);
  row.cpu = std::max(0.0, now.cpu_seconds() - earlier->cpu_seconds()) / seconds;
  row.call_latency = SnapshotOf(now);
  const HistogramSnapshot old = SnapshotOf(*earlier);
  if (old.bounds == row.call_latency.bounds) row.call_latency -= old;
  return row;
}

void AddTo(TopRow* sum, const TopRow& node) {
  if (!node.problem.empty()) return;
  sum->region = node.region;
  sum->has_rates = sum->has_rates || node.has_rates;
  sum->calls += node.calls;
  sum->failed_calls += node.failed_calls;
  sum->l1_hits += node.l1_hits;
  sum->l2_hits += node.l2_hits;
  sum->misses += node.misses;
  sum->read_errors += node.read_errors;
  sum->cpu += node.cpu;
  if (sum->call_latency.bounds.empty() || sum->call_latency.bounds == node.call_latency.bounds) {
    sum->call_latency += node.call_latency;
  }
  sum->l1_bytes += node.l1_bytes;
  sum->l1_limit_bytes += node.l1_limit_bytes;
  sum->l2_used_bytes = std::max(sum->l2_used_bytes, node.l2_used_bytes);
  sum->l2_limit_bytes = std::max(sum->l2_limit_bytes, node.l2_limit_bytes);
  sum->lag = std::max(sum->lag, node.lag);
}

nlohmann::ordered_json ToJson(const TopRow& row) {
  nlohmann::ordered_json json = {{"region", row.region}, {"node", row.node}};
  if (!row.problem.empty()) {
    json["problem"] = row.problem;
    return json;
  }
  if (row.has_rates) {
    json.update({{"calls_per_second", row.calls},
                 {"failed_calls_per_second", row.failed_calls},
                 {"reads_per_second", row.Reads()},
                 {"read_errors_per_second", row.read_errors},
                 {"l1_hit_rate", row.Share(row.l1_hits)},
                 {"l2_hit_rate", row.Share(row.l2_hits)},
                 {"miss_rate", row.Share(row.misses)},
                 {"p50_ms", row.QuantileMs(0.50)},
                 {"p99_ms", row.QuantileMs(0.99)},
                 {"cpu_cores", row.cpu}});
  }
  json.update({{"l1_bytes", row.l1_bytes},
               {"l1_limit_bytes", row.l1_limit_bytes},
               {"l2_used_bytes", row.l2_used_bytes},
               {"l2_limit_bytes", row.l2_limit_bytes},
               {"lag_ms", absl::ToInt64Milliseconds(row.lag)}});
  return json;
}

}  // namespace meridian::cli
