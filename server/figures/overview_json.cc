#include "server/figures/overview_json.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/engine/engine_stats.h"
#include "common/rpc/timestamp.h"
#include "server/figures/namespace_goals.h"
#include "server/policy/build_info.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

constexpr absl::Duration kRateWindow = absl::Seconds(10);
constexpr absl::Duration kLatencyWindow = absl::Minutes(1);

ordered_json RatioOf(uint64_t part, uint64_t whole) {
  if (whole == 0) return nullptr;
  return static_cast<double>(part) / static_cast<double>(whole);
}

ordered_json LatencyJson(const HistogramSnapshot& latency) {
  const uint64_t count = latency.count();
  ordered_json json;
  const auto put = [&](const char* name, double seconds) {
    if (count == 0) {
      json[name] = nullptr;
    } else {
      json[name] = 1000 * seconds;
    }
  };
  put("average_ms", count == 0 ? 0 : latency.sum / static_cast<double>(count));
  put("p50_ms", latency.Quantile(0.50));
  put("p95_ms", latency.Quantile(0.95));
  put("p99_ms", latency.Quantile(0.99));
  return json;
}

// Counts since the start.
void PutReads(const ReadCounts& reads, ordered_json* json) {
  (*json)["hits"] = reads.hits();
  (*json)["misses"] = reads.miss.count();
  (*json)["errors"] = reads.errors;
  (*json)["l1_hits"] = reads.l1.count();
  (*json)["l2_hits"] = reads.l2.count();
}

// Of the last minute.
void PutHitRates(const ReadCounts& reads, ordered_json* json) {
  (*json)["hit_rate"] = RatioOf(reads.hits(), reads.reads());
  (*json)["l1_hit_rate"] = RatioOf(reads.l1.count(), reads.reads());
  (*json)["l2_hit_rate"] = RatioOf(reads.l2.count(), reads.reads());
  (*json)["read_error_rate"] = RatioOf(reads.errors, reads.reads() + reads.errors);
}

ordered_json TierLatencies(const ReadCounts& reads) {
  ordered_json json;
  json["l1"] = LatencyJson(reads.l1);
  json["l2"] = LatencyJson(reads.l2);
  json["miss"] = LatencyJson(reads.miss);
  return json;
}

// Rates of the last 10 s, the rest of the last minute.
void PutNodeRates(const NodeCounts& recent, absl::Duration recent_time, const NodeCounts& minute,
                  ordered_json* json) {
  const auto rate = [recent_time](double count) {
    return recent_time <= absl::ZeroDuration() ? 0.0 : count / absl::ToDoubleSeconds(recent_time);
  };
  PutHitRates(minute.reads, json);
  (*json)["requests_per_second"] = rate(static_cast<double>(recent.reads.reads()));
  (*json)["calls_per_second"] = rate(static_cast<double>(recent.calls));
  (*json)["errors_per_second"] = rate(static_cast<double>(recent.reads.errors));
  (*json)["call_error_rate"] = RatioOf(minute.failed_calls, minute.calls);
  (*json)["evictions_per_second"] = rate(static_cast<double>(recent.evictions));
  (*json)["origin_keys_per_second"] = rate(static_cast<double>(recent.origin_keys));
  ordered_json& latency = (*json)["latency"] = TierLatencies(minute.reads);
  latency["calls"] = LatencyJson(minute.call_latency);
  (*json)["cpu_cores"] = rate(recent.cpu_seconds);
}

// The sum over the answers of the nodes that are there, as AnalyticsOf has it, too.
ReadCounts SumOfReads(const std::vector<admin::v1::GetFiguresResponse>& answers) {
  ReadCounts sum;
  for (const admin::v1::GetFiguresResponse& answer : answers) sum += CountsOf(answer).all.reads;
  return sum;
}

// Since the start, by cause.
ordered_json EvictionsJson(const std::vector<admin::v1::GetFiguresResponse>& answers) {
  ordered_json json;
  for (size_t cause = 0; cause < kEvictionCauses; ++cause) {
    const std::string name(EvictionCauseName(static_cast<EvictionCause>(cause)));
    uint64_t sum = 0;
    for (const admin::v1::GetFiguresResponse& answer : answers) {
      const auto found = answer.evictions().find(name);
      if (found != answer.evictions().end()) sum += found->second;
    }
    json[name] = sum;
  }
  return json;
}

ordered_json TotalsJson(const RegionFigures& figures, const OverviewFrame& frame,
                        const std::vector<admin::v1::GetFiguresResponse>& answers,
                        absl::Duration now) {
  ordered_json totals;
  size_t members = 0;
  size_t alive = 0;
  for (const auto& [id, node] : figures.nodes()) {
    members += node.is_member ? 1 : 0;
    alive += node.IsAlive(now) ? 1 : 0;
  }
  totals["nodes"] = members;
  totals["nodes_alive"] = alive;
  PutReads(SumOfReads(answers), &totals);
  const auto recent = figures.history().Last(kRateWindow);
  const auto minute = figures.history().Last(kLatencyWindow);
  PutNodeRates(recent.counts.all, recent.time, minute.counts.all, &totals);
  uint64_t entries = 0, bytes = 0, limit = 0, resident = 0, l2_used = 0, l2_limit = 0;
  for (const admin::v1::GetFiguresResponse& answer : answers) {
    entries += answer.status().l1_entries();
    bytes += answer.status().l1_bytes();
    limit += answer.status().l1_limit_bytes();
    resident += answer.resident_bytes();
    l2_used = std::max(l2_used, answer.l2_used_bytes());  // All look at the same Redis.
    l2_limit = std::max(l2_limit, answer.l2_limit_bytes());
  }
  totals["l1_entries"] = entries;
  totals["l1_bytes"] = bytes;
  totals["l1_limit_bytes"] = limit;
  totals["evictions"] = EvictionsJson(answers);
  totals["l2_used_bytes"] = l2_used;
  totals["l2_limit_bytes"] = l2_limit;
  totals["resident_bytes"] = resident;
  const admin::v1::GetAnalyticsResponse analytics = AnalyticsOf(answers, {.costs = frame.costs});
  totals["time_saved_seconds"] = analytics.total_time_saved().total_seconds();
  totals["origin_queries_avoided"] = analytics.cost_savings().origin_queries_avoided();
  totals["estimated_cost_savings"] = analytics.cost_savings().estimated_cost_savings();
  totals["currency"] = analytics.cost_savings().currency();
  return totals;
}

ordered_json NodeJson(const RegionFigures::Node& node, absl::Duration now) {
  const Member& member = node.known.member;
  const admin::v1::GetStatusResponse& status = node.figures.status();
  ordered_json json;
  json["id"] = member.id;
  json["state"] = node.is_member ? StateName(node.known.member.state) : "GONE";
  json["alive"] = node.IsAlive(now);
  json["heartbeat_age_seconds"] = absl::ToDoubleSeconds(
      node.known.heartbeat_age + (node.is_member ? absl::ZeroDuration() : now - node.since));
  json["figures_age_seconds"] = node.answered.has_value()
                                    ? ordered_json(absl::ToDoubleSeconds(now - *node.answered))
                                    : ordered_json(nullptr);
  json["problem"] = node.is_member ? node.problem : "it is not a member any more";
  json["epoch"] = node.is_member && status.epoch() > 0 ? status.epoch() : node.known.epoch;
  json["owned_slots"] = node.is_member ? status.owned_slots() : 0;
  json["weight"] = member.weight;
  json["warmth"] = node.known.warmth;
  json["version"] = status.version();
  json["uptime_seconds"] = static_cast<double>(status.uptime_seconds());
  json["data_address"] = member.data_address;
  json["admin_address"] = member.admin_address;
  json["http_address"] = member.http_address;
  const ReadCounts since_start = CountsOf(node.figures).all.reads;
  json["hits"] = since_start.hits();
  json["misses"] = since_start.miss.count();
  const auto recent = node.history.Last(kRateWindow);
  const auto minute = node.history.Last(kLatencyWindow);
  PutNodeRates(recent.counts, recent.time, minute.counts, &json);
  json["l1_entries"] = status.l1_entries();
  json["l1_bytes"] = status.l1_bytes();
  json["l1_limit_bytes"] = status.l1_limit_bytes();
  json["resident_bytes"] = node.figures.resident_bytes();
  const bool redis = status.l2_size() > 0 && !status.l2(0).address().empty();
  json["redis"] = !redis ? "disabled" : status.l2(0).connected() ? "connected" : "disconnected";
  json["breaker"] = redis ? status.l2(0).breaker() : "";
  json["warnings"] = ordered_json::array();
  for (const std::string& warning : status.warnings()) json["warnings"].push_back(warning);
  return json;
}

// What the policy asks for; null where it sets no goal.
ordered_json GoalsJson(const NamespaceGoals& goals) {
  const auto number = [](double value) {
    return value > 0 ? ordered_json(value) : ordered_json(nullptr);
  };
  return {{"hit_rate", number(goals.hit_rate)},
          {"l1_p95_ms", number(1000 * goals.l1_latency)},
          {"l2_p95_ms", number(1000 * goals.l2_latency)}};
}

// What the goals are compared with, and what came of it: the fields are those of `goals`.
void PutJudged(const ReadCounts& reads, const NamespaceGoals& goals, ordered_json* json) {
  ordered_json& values = (*json)["judged"] = ordered_json::object();
  ordered_json& verdicts = (*json)["verdicts"] = ordered_json::object();
  const auto put = [&](const char* name, const Judged& judged, double unit) {
    values[name] = judged.reads > 0 ? ordered_json(unit * judged.value) : ordered_json(nullptr);
    verdicts[name] = judged.goal == 0                  ? "no_goal"
                     : judged.reads < kFewReadsToJudge ? "too_few_reads"
                     : judged.IsMissed()               ? "missed"
                                                       : "reached";
  };
  put("hit_rate", JudgeHitRate(reads, goals.hit_rate), 1);
  put("l1_p95_ms", JudgeLatency(reads.l1, goals.l1_latency), 1000);
  put("l2_p95_ms", JudgeLatency(reads.l2, goals.l2_latency), 1000);
}

ordered_json NamespacesJson(const RegionFigures& figures,
                            const std::vector<admin::v1::GetFiguresResponse>& answers) {
  RegionCounts since_start;
  std::map<std::string, admin::v1::NamespaceStats> stats;
  for (const admin::v1::GetFiguresResponse& answer : answers) {
    since_start += CountsOf(answer);
    for (const admin::v1::NamespaceStats& row : answer.status().namespaces()) {
      admin::v1::NamespaceStats& sum = stats[row.namespace_()];
      sum.set_l1_entries(sum.l1_entries() + row.l1_entries());
      sum.set_l1_bytes(sum.l1_bytes() + row.l1_bytes());
      sum.set_compression_saved_bytes(sum.compression_saved_bytes() +
                                      row.compression_saved_bytes());
      sum.set_compression_cpu_seconds(sum.compression_cpu_seconds() +
                                      row.compression_cpu_seconds());
    }
  }
  std::map<std::string, std::set<uint64_t>> versions;
  for (const auto& [key, reads] : since_start.reads) versions[key.first].insert(key.second);
  const auto recent = figures.history().Last(kRateWindow);
  const auto minute = figures.history().Last(kLatencyWindow);
  const auto judged = figures.history().Over(kJudgedOver);
  const GoalTable goals(figures);
  ordered_json list = ordered_json::array();
  for (const auto& [name, present] : versions) {
    ordered_json json;
    json["namespace"] = name;
    json["policy_versions"] = present;
    PutReads(since_start.ReadsOf(name), &json);
    const ReadCounts lately = minute.counts.ReadsOf(name);
    const ReadCounts now = recent.counts.ReadsOf(name);
    PutHitRates(lately, &json);
    json["goals"] = GoalsJson(goals.Of(name));
    PutJudged(ReadsSince(*judged.begin, *judged.end, name), goals.Of(name), &json);
    json["requests_per_second"] = recent.PerSecond(static_cast<double>(now.reads()));
    json["errors_per_second"] = recent.PerSecond(static_cast<double>(now.errors));
    const auto writes = recent.counts.namespaces.find(name);
    json["evictions_per_second"] =
        writes == recent.counts.namespaces.end()
            ? 0.0
            : recent.PerSecond(static_cast<double>(writes->second.evictions));
    json["latency"] = TierLatencies(lately);
    json["l1_entries"] = stats[name].l1_entries();
    json["l1_bytes"] = stats[name].l1_bytes();
    json["sets"] = since_start.namespaces[name].sets;
    json["invalidations"] = since_start.namespaces[name].invalidations;
    json["compression_saved_bytes"] = stats[name].compression_saved_bytes();
    json["compression_cpu_seconds"] = stats[name].compression_cpu_seconds();
    list.push_back(std::move(json));
  }
  return list;
}

ordered_json LinksJson(const RegionFigures& figures, absl::Duration now) {
  ordered_json list = ordered_json::array();
  for (const admin::v1::ReplicationLink& link : figures.Links(now)) {
    ordered_json json;
    json["from"] = link.from();
    json["to"] = link.to();
    json["state"] = link.state();
    json["lag_seconds"] = static_cast<double>(link.lag_ms()) / 1000;
    json["backlog"] = link.backlog();
    json["applied_total"] = link.applied_total();
    json["repairing_slots"] = link.repairing_slots();
    json["problem"] = link.problem();
    list.push_back(std::move(json));
  }
  return list;
}

ordered_json SeriesJson(const RegionFigures& figures) {
  ordered_json json;
  for (const char* name :
       {"time_unix_ms", "requests_per_second", "calls_per_second", "l1_hits_per_second",
        "l2_hits_per_second", "misses_per_second", "errors_per_second", "hit_rate", "call_p50_ms",
        "call_p95_ms", "call_p99_ms", "l1_bytes", "lag_seconds", "nodes_alive"}) {
    json[name] = ordered_json::array();
  }
  for (const SeriesPoint& point : figures.series()) {
    const double hits = point.l1_hits + point.l2_hits;
    const double reads = hits + point.misses;
    json["time_unix_ms"].push_back(absl::ToUnixMillis(point.at));
    json["requests_per_second"].push_back(reads);
    json["calls_per_second"].push_back(point.calls);
    json["l1_hits_per_second"].push_back(point.l1_hits);
    json["l2_hits_per_second"].push_back(point.l2_hits);
    json["misses_per_second"].push_back(point.misses);
    json["errors_per_second"].push_back(point.errors);
    json["hit_rate"].push_back(reads > 0 ? ordered_json(hits / reads) : ordered_json(nullptr));
    const ordered_json latency = LatencyJson(point.call_latency);
    for (const char* name : {"p50_ms", "p95_ms", "p99_ms"}) {
      json[std::string("call_") + name].push_back(latency[name]);
    }
    json["l1_bytes"].push_back(point.l1_bytes);
    json["lag_seconds"].push_back(absl::ToDoubleSeconds(point.lag));
    json["nodes_alive"].push_back(point.nodes_alive);
  }
  return json;
}

}  // namespace

const char* StateName(MemberState state) {
  switch (state) {
    case MemberState::kJoining:
      return "JOINING";
    case MemberState::kServing:
      return "SERVING";
    case MemberState::kDraining:
      return "DRAINING";
  }
  return "";
}

ordered_json OverviewJson(const RegionFigures& figures, const OverviewFrame& frame,
                          absl::Duration now, absl::Time wall) {
  const std::vector<admin::v1::GetFiguresResponse> answers = figures.Answers(now);
  ordered_json json;
  json["region"] = frame.region;
  json["coordinator"] = frame.coordinator;
  json["leader"] = true;
  json["epoch"] = frame.epoch;
  json["version"] = std::string(BuildVersion());
  json["timestamp"] = Rfc3339(wall);
  json["uptime_seconds"] = absl::ToDoubleSeconds(frame.uptime);
  json["interval_seconds"] = 1.0;
  json["totals"] = TotalsJson(figures, frame, answers, now);
  json["nodes"] = ordered_json::array();
  for (const auto& [id, node] : figures.nodes()) json["nodes"].push_back(NodeJson(node, now));
  json["namespaces"] = NamespacesJson(figures, answers);
  json["links"] = LinksJson(figures, now);
  json["series"] = SeriesJson(figures);
  json["alerts"] = {{"pending", frame.alerts_pending},
                    {"firing", frame.alerts_firing},
                    {"critical", frame.alerts_critical}};
  json["recommendations"] = frame.recommendations;
  return json;
}

}  // namespace meridian
