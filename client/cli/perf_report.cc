#include "client/cli/perf_report.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"

namespace meridian::cli {
namespace {

// Requirement 3-15.
constexpr double kSlowHitMs = 100;
constexpr double kSlowMissMs = 400;
// Requirement 3-13.
constexpr double kUsualSpeedUp = 3;

using Advice = std::vector<std::string>;

void OfBackends(const PerfReport& report, Advice* advice) {
  bool no_redis = false;
  for (const PerfBackend& node : report.backends.nodes) {
    if (!node.problem.empty()) {
      advice->push_back(absl::StrCat("node ", node.address, " does not answer: ", node.problem,
                                     "; see meridianctl doctor"));
    } else if (node.redis == "disconnected" || node.breaker == "open") {
      advice->push_back(
          absl::StrCat("node ", node.node, " does without its Redis (breaker ", node.breaker,
                       "): these figures are of memory alone; see meridianctl doctor"));
    }
    no_redis = no_redis || node.redis == "disabled";
  }
  if (no_redis) {
    advice->push_back(
        "consider a Redis if you scale to several nodes: without one each has its memory alone");
  }
}

uint64_t OfSource(const PairsResult& pairs, const std::string& source) {
  const auto sources = pairs.UncachedSources();
  const auto found = sources.find(source);
  return found == sources.end() ? 0 : found->second;
}

void OfPairs(const PairsResult& pairs, Advice* advice) {
  if (pairs.pairs.empty()) return;
  const Summary cached = pairs.Cached();
  const Summary uncached = pairs.Uncached();
  const uint64_t loaded = OfSource(pairs, "ORIGIN");
  const bool by_origin = pairs.of_origin && loaded == pairs.pairs.size();
  if (pairs.of_origin && !by_origin) {
    advice->push_back(absl::StrFormat(
        "%d of %d uncached reads were answered by the cache, not by an origin: their times are no "
        "origin's; see meridianctl policies for whether the namespace has one, and its breaker",
        pairs.pairs.size() - loaded, pairs.pairs.size()));
  }
  if (pairs.SpeedUp() < 1) {
    advice->push_back(
        "cached reads were not faster than uncached ones: for such cheap values the cache gains "
        "nothing");
  } else if (by_origin && pairs.SpeedUp() < kUsualSpeedUp) {
    advice->push_back(absl::StrFormat(
        "the cache makes reads %.2f times as fast; 3 to 10 times are usual: is the origin that "
        "cheap, or is the network between here and the nodes slow?",
        pairs.SpeedUp()));
  }
  if (cached.mean > kSlowHitMs) {
    advice->push_back(absl::StrFormat(
        "a hit takes %.0f ms, more than 100: look for the slow part with meridianctl top, and for "
        "the line to the nodes",
        cached.mean));
  }
  if (uncached.mean > kSlowMissMs) {
    advice->push_back(absl::StrFormat(
        "a miss takes %.0f ms, more than 400: warm what is asked for most (meridianctl warm run)",
        uncached.mean));
  }
  if (cached.count >= 3 && cached.std_dev > cached.mean) {
    advice->push_back(
        "cached times scatter by more than their mean: something else ran, or too few were "
        "measured (--iterations)");
  }
}

void OfHitRate(const HitRateResult& test, const std::string& name_space, Advice* advice) {
  if (test.answered() == 0) return;
  if (test.Hits() < test.possible_hits) {
    advice->push_back(absl::StrFormat(
        "%d of %d possible hits were misses: entries left before they were asked for again; see "
        "meridianctl what-if %s and the policy (TTL, size, admission)",
        test.possible_hits - test.Hits(), test.possible_hits, name_space));
    return;
  }
  const double rate = test.Rate();
  if (rate > 0.8) {
    advice->push_back("80/20: the hit rate is optimal, keep the TTL");
  } else if (rate >= 0.5) {
    advice->push_back(
        "80/20: the hit rate is good for so few requests, all that could be hits were; monitor "
        "it, and ask more often for a warm cache (--requests)");
  } else {
    advice->push_back(
        "80/20: a low hit rate, and all that could be hits were: the draw was too short "
        "(--requests); in real traffic change the query pattern or the TTL");
  }
}

void OfLoad(const LoadResult& load, Advice* advice) {
  if (!load.ran) return;
  if (load.gave_up) {
    advice->push_back("the load test gave up, too many calls failed one after the other");
  }
  if (load.stats.mismatches.count() > 0) {
    advice->push_back(
        "under load values came back that were not what was stored: see mismatches, and report "
        "them");
  }
  const double p99 = load.stats.get_latency[0].Percentile(0.99) / 1000;
  if (p99 > kSlowHitMs) {
    advice->push_back(absl::StrFormat(
        "under load p99 of hits in memory is %.0f ms: fewer at a time (--concurrency), or more "
        "nodes",
        p99));
  }
}

absl::Status Write(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.close();
  if (out) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace

bool PerfReport::Good() const {
  return signal == 0 && pairs.problems.count == 0 && hit_rate.problems.count == 0 &&
         !load.gave_up && load.stats.errors.count() == 0 && load.stats.mismatches.count() == 0;
}

std::vector<std::string> WrittenKeys(const PerfReport& report) {
  std::vector<std::string> keys = report.pairs.written;
  for (const uint64_t item : report.hit_rate.written) {
    keys.push_back(report.values.Key("hit", item));
  }
  for (const uint64_t key : report.load.written) keys.push_back(report.values.Key("load", key));
  return keys;
}

std::vector<std::string> RecommendationsOf(const PerfReport& report) {
  Advice advice;
  const uint64_t failed = report.pairs.problems.count + report.hit_rate.problems.count +
                          report.load.stats.errors.count();
  if (failed > 0) {
    advice.push_back(absl::StrCat(failed, " requests failed: meridianctl doctor looks for causes"));
  }
  OfBackends(report, &advice);
  OfPairs(report.pairs, &advice);
  OfHitRate(report.hit_rate, report.name_space, &advice);
  OfLoad(report.load, &advice);
  for (const std::string& own : report.backends.advice) {
    advice.push_back(absl::StrCat("of the traffic before: ", own));
  }
  return advice;
}

std::string BeganText(const PerfReport& report) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", report.began, absl::UTCTimeZone());
}

absl::Status SavePerfReport(const PerfReport& report, const std::string& base) {
  using Handler = nlohmann::ordered_json::error_handler_t;
  RETURN_IF_ERROR(Write(base + ".txt", PerfText(report) + "\n"));
  RETURN_IF_ERROR(
      Write(base + ".json", PerfJson(report).dump(2, ' ', false, Handler::replace) + "\n"));
  return Write(base + ".html", PerfHtml(report));
}

}  // namespace meridian::cli
