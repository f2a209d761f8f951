#include "client/cli/perf_hit_rate.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/replay_random.h"
#include "client/cli/replay_runner.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr double kToPopular = 0.8;

double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// One request as an application sends it; empty, or what went wrong. `stores`: it sent a Set.
std::string Ask(PerfTarget& target, const PerfValues& values, const std::string& key,
                GetResult* got, bool* stores) {
  *got = target.Get(key, /*from_origin=*/false);
  if (got->error != nullptr) {
    return absl::StrCat(QuoteKey(key), ": ", got->error->reason, ": ", got->error->message);
  }
  if (got->hit()) {
    return got->value == values.Value(key)
               ? ""
               : absl::StrCat(QuoteKey(key), ": came back with another value");
  }
  if (values.origin_delay > absl::ZeroDuration()) target.Pause(values.origin_delay);
  *stores = true;
  const WriteResult set = target.Set(key, values.Value(key), values.ttl);
  if (set.ok()) return "";
  return absl::StrCat(QuoteKey(key), ": ",
                      set.error == nullptr ? "was not stored" : set.error->message);
}

}  // namespace

double HitRateResult::Rate() const { return Share(Hits(), answered()); }
double HitRateResult::PossibleRate() const { return Share(possible_hits, answered()); }

Summary HitRateResult::TimesOf(bool hit) const {
  std::vector<double> some;
  for (size_t i = 0; i < hits.size(); ++i) {
    if (hits[i] == hit) some.push_back(times_ms[i]);
  }
  return Summarize(std::move(some));
}

const char* EffectivenessOf(double hit_rate) {
  return hit_rate > 0.8 ? "optimal" : hit_rate >= 0.5 ? "good" : "poor";
}

std::vector<uint64_t> DrawItems(const HitRateOptions& options) {
  ReplayRandom random(options.seed);
  std::vector<uint64_t> items;
  for (uint64_t i = 0; i < options.requests; ++i) {
    const bool popular = random.Unit() < kToPopular;
    items.push_back(popular ? random.Below(options.popular)
                            : options.popular + random.Below(options.items() - options.popular));
  }
  return items;
}

HitRateResult RunHitRate(PerfTarget& target, const HitRateOptions& options,
                         const PerfValues& values, std::atomic<uint64_t>& done) {
  HitRateResult result;
  result.ran = true;
  result.options = options;
  std::set<uint64_t> stored;
  for (const uint64_t item : DrawItems(options)) {
    if (target.stopped()) break;
    const std::string key = values.Key("hit", item);
    const absl::Duration start = target.Now();
    GetResult got;
    bool stores = false;
    std::string problem = Ask(target, values, key, &got, &stores);
    if (stores) result.written.insert(item);
    const double took = absl::ToDoubleMilliseconds(target.Now() - start);
    ++done;
    if (!problem.empty()) {
      result.problems.Add(std::move(problem));
      continue;
    }
    result.times_ms.push_back(took);
    result.hits.push_back(got.hit());
    ++result.by_tier[ReplayTierOf(got)];
    result.possible_hits += stored.insert(item).second ? 0 : 1;
  }
  return result;
}

}  // namespace meridian::cli
