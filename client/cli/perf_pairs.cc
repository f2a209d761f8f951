#include "client/cli/perf_pairs.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/results.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

template <typename Field>
Summary SummaryOf(const std::vector<PerfPair>& pairs, Field field) {
  std::vector<double> values;
  for (const PerfPair& pair : pairs) values.push_back(pair.*field);
  return Summarize(std::move(values));
}

std::string ErrorText(const std::string& key, const ResultError* error) {
  return absl::StrCat(QuoteKey(key), ": ",
                      error == nullptr ? "was not done" : error->reason + ": " + error->message);
}

// The first half of a pair: false fills `problem`.
bool AskUncached(PerfTarget& target, const PairsOptions& options, const PerfValues& values,
                 PerfPair* pair, PairsResult* result, std::string* problem) {
  const bool of_origin = !options.keys.empty();
  const absl::Duration start = target.Now();
  const GetResult got = target.Get(pair->key, of_origin);
  if (got.error != nullptr) {
    *problem = ErrorText(pair->key, got.error.get());
    return false;
  }
  if (of_origin && !got.hit()) {
    *problem = absl::StrCat(QuoteKey(pair->key), ": neither the origin nor the cache has it");
    return false;
  }
  if (!of_origin) {
    if (values.origin_delay > absl::ZeroDuration()) target.Pause(values.origin_delay);
    result->written.push_back(pair->key);  // Who knows what a Set that fails has done?
    const WriteResult set = target.Set(pair->key, values.Value(pair->key), values.ttl);
    if (!set.ok()) {
      *problem = ErrorText(pair->key, set.error.get());
      return false;
    }
  }
  pair->uncached_ms = absl::ToDoubleMilliseconds(target.Now() - start);
  pair->uncached_source = got.hit() ? std::string(SourceName(got.source)) : "miss";
  return true;
}

bool AskCached(PerfTarget& target, const PairsOptions& options, const PerfValues& values,
               PerfPair* pair, std::string* problem) {
  const absl::Duration start = target.Now();
  const GetResult got = target.Get(pair->key, /*from_origin=*/false);
  pair->cached_ms = absl::ToDoubleMilliseconds(target.Now() - start);
  if (got.error != nullptr) {
    *problem = ErrorText(pair->key, got.error.get());
  } else if (!got.hit()) {
    *problem = absl::StrCat(QuoteKey(pair->key), ": was not in the cache any more");
  } else if (options.keys.empty() && got.value != values.Value(pair->key)) {
    *problem = absl::StrCat(QuoteKey(pair->key), ": came back with another value");
  }
  pair->cached_source = std::string(SourceName(got.source));
  return problem->empty();
}

}  // namespace

Summary PairsResult::Uncached() const { return SummaryOf(pairs, &PerfPair::uncached_ms); }
Summary PairsResult::UncachedOf(const std::string& source) const {
  std::vector<double> values;
  for (const PerfPair& pair : pairs) {
    if (pair.uncached_source == source) values.push_back(pair.uncached_ms);
  }
  return Summarize(std::move(values));
}

std::map<std::string, uint64_t> PairsResult::UncachedSources() const {
  std::map<std::string, uint64_t> sources;
  for (const PerfPair& pair : pairs) ++sources[pair.uncached_source];
  return sources;
}

std::string PairsResult::UncachedSourcesText() const {
  return absl::StrJoin(UncachedSources(), ", ", [](std::string* out, const auto& source) {
    absl::StrAppend(out, source.second, " from ", source.first);
  });
}

Summary PairsResult::Cached() const { return SummaryOf(pairs, &PerfPair::cached_ms); }

double PairsResult::SpeedUp() const {
  const double cached = Cached().mean;
  return cached > 0 ? Uncached().mean / cached : 0;
}

double PairsResult::SavedMs() const { return std::max(0.0, Uncached().mean - Cached().mean); }

double PairsResult::SavedPercent() const {
  const double uncached = Uncached().mean;
  return uncached > 0 ? 100 * SavedMs() / uncached : 0;
}

PairsResult RunPairs(PerfTarget& target, const PairsOptions& options, const PerfValues& values,
                     std::atomic<uint64_t>& done) {
  PairsResult result;
  result.ran = true;
  result.of_origin = !options.keys.empty();
  for (uint64_t i = 0; i < options.iterations && !target.stopped(); ++i, ++done) {
    PerfPair pair;
    pair.key = result.of_origin ? options.keys[i % options.keys.size()] : values.Key("pair", i);
    std::string problem;
    if (AskUncached(target, options, values, &pair, &result, &problem)) {
      target.Pause(options.wait);
      if (target.stopped()) break;
      AskCached(target, options, values, &pair, &problem);
    }
    if (problem.empty()) {
      result.pairs.push_back(std::move(pair));
    } else {
      result.problems.Add(std::move(problem));
    }
  }
  return result;
}

}  // namespace meridian::cli
