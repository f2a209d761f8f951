// Predictions against what is measured afterwards: an engine of one shape runs the first part of a
// trace with a log, as a node does; the question is answered; an engine of the asked shape is
// measured.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "bench/sim/trace.h"
#include "common/engine/engine.h"
#include "common/engine/what_if.h"

namespace meridian::sim {
namespace {

// A read-through cache of the engine.
class Cache {
 public:
  explicit Cache(const CacheShape& shape) : shape_(shape) {
    EngineOptions options = {
        .capacity_bytes = shape.max_bytes == 0 ? size_t{1} << 40 : shape.max_bytes,
        .capacity_entries = shape.max_entries,
        .shard_bits = 0,
        .policy = shape.policy};
    engine_ = *Engine::Create(options);
    name_space_ = *engine_->InternNamespace("n");
  }

  bool Ask(const Request& request, TrafficLog* log) {
    const absl::Duration now = absl::Nanoseconds(request.time_ns);
    engine_->Advance(now, 1 << 20);
    const std::string_view bytes(reinterpret_cast<const char*>(&request.key), sizeof(request.key));
    const EntryKey key = {name_space_, 0, engine_->HashOf(name_space_, bytes), bytes};
    absl::Duration ttl = shape_.ttl;
    if (ttl == absl::ZeroDuration()) {
      ttl = request.ttl_ns == 0 ? absl::InfiniteDuration() : absl::Nanoseconds(request.ttl_ns);
    }
    Entry entry;
    const bool hit = engine_->Get(key, now, &entry);
    if (!hit) {
      entry = {.value = {}, .version = {.hlc = ++version_, .region = 1}, .expires_at = now + ttl};
      entry.phantom_bytes = request.size;
    }
    const size_t size = EntryCharge(bytes.size(), entry) + (hit ? request.size : 0);
    if (log != nullptr) {
      log->FitTo(std::max<size_t>(engine_->entries(), 1));
      log->Record(hit ? TrafficKind::kHit : TrafficKind::kMiss, key.hash, now, size,
                  {.given = ttl});
      if (!hit) log->Record(TrafficKind::kFill, key.hash, now, size, {.given = ttl});
    }
    if (!hit) engine_->Put(key, std::move(entry), now);
    return hit;
  }

 private:
  const CacheShape shape_;
  std::unique_ptr<Engine> engine_;
  NamespaceId name_space_ = 0;
  uint64_t version_ = 0;
};

// How far the prediction at half time is from what the asked shape measures: over the requests that
// the log's counted half covers, and later, over the rest of the trace.
struct Errors {
  double then = 0;
  double later = 0;
};

Errors Judge(const Trace& trace, const CacheShape& present, const CacheShape& asked) {
  Cache as_is(present);
  Cache as_asked(asked);
  TrafficLog log;
  const size_t half = trace.requests.size() / 2;
  std::vector<bool> hits;
  hits.reserve(trace.requests.size());
  for (size_t i = 0; i < trace.requests.size(); ++i) {
    if (i < half) as_is.Ask(trace.requests[i], &log);
    hits.push_back(as_asked.Ask(trace.requests[i], nullptr));
  }
  const TrafficLog::Snapshot snapshot = log.Copy();
  const absl::StatusOr<WhatIfAnswer> answer = PredictHitRate(snapshot, present, asked);
  EXPECT_TRUE(answer.ok()) << answer.status();
  const auto rate = [&](size_t from, size_t to) {
    double count = 0;
    for (size_t i = from; i < to; ++i) count += hits[i] ? 1 : 0;
    return count / static_cast<double>(to - from);
  };
  const size_t from = snapshot.requests[snapshot.requests.size() / 2].asked - 1;
  const Errors errors = {std::abs(answer->predicted_hit_rate - rate(from, half)),
                         std::abs(answer->predicted_hit_rate - rate(half, trace.requests.size()))};
  std::printf(
      "%-16s rate 1/%-4.0f measured %.4f replayed %.4f predicted %.4f; asked shape %.4f then, "
      "%.4f later\n",
      trace.name.c_str(), 1 / snapshot.rate, answer->hit_rate, answer->replayed_hit_rate,
      answer->predicted_hit_rate, rate(from, half), rate(half, trace.requests.size()));
  return errors;
}

Trace Zipf(double exponent, size_t keys, size_t requests, uint32_t seed) {
  std::vector<double> weights;
  for (size_t i = 0; i < keys; ++i)
    weights.push_back(std::pow(static_cast<double>(i + 1), -exponent));
  std::discrete_distribution<uint64_t> draw(weights.begin(), weights.end());
  std::mt19937_64 random(seed);
  std::vector<Request> made;
  for (size_t i = 0; i < requests; ++i) {
    made.push_back(
        {.key = draw(random), .time_ns = static_cast<int64_t>(i) * 1'000'000, .size = 100});
  }
  return MakeTrace("zipf", std::move(made));
}

constexpr double kTwoPoints = 0.02;

TEST(WhatIfTracesTest, TheQuestionOfTheSource) {
  // 1500 entries at 45 s instead of 1000 at 60 s, LRU, a thousand requests a second.
  const CacheShape present = {.max_entries = 1000, .ttl = absl::Seconds(60)};
  const CacheShape asked = {.max_entries = 1500, .ttl = absl::Seconds(45)};
  for (const uint32_t seed : {1u, 2u, 3u}) {
    const Errors errors = Judge(Zipf(0.9, 10'000, 300'000, seed), present, asked);
    EXPECT_LT(errors.then, kTwoPoints);
    EXPECT_LT(errors.later, kTwoPoints);
  }
}

TEST(WhatIfTracesTest, ASampleOfALargeCacheWillDo) {
  const Trace trace = Zipf(1.0, 400'000, 1'500'000, 4);
  for (const char* policy : {"lru", "s3_fifo"}) {
    const Errors errors =
        Judge(trace, {.max_entries = 40'000}, {.max_entries = 80'000, .policy = policy});
    EXPECT_LT(errors.then, kTwoPoints) << policy;
    EXPECT_LT(errors.later, kTwoPoints) << policy;
  }
}

TEST(WhatIfTracesTest, RecordedTraces) {
  const char* source_dir = std::getenv("MERIDIAN_SOURCE_DIR");
  const std::filesystem::path traces =
      std::filesystem::path(source_dir == nullptr ? "." : source_dir) / "../shared/traces";
  for (const char* name : {"syn_tw52", "scarab_recs", "lirs_2pools", "web12", "lirs_sprite"}) {
    const absl::StatusOr<Trace> trace = ReadTrace(traces / (std::string(name) + ".csv.gz"));
    if (!trace.ok()) GTEST_SKIP() << trace.status();
    const size_t entries = trace->unique_keys / 20;
    const Errors errors = Judge(*trace, {.max_entries = entries},
                                {.max_entries = entries * 3 / 2, .policy = "s3_fifo"});
    EXPECT_LT(errors.then, kTwoPoints) << name;
    // The traffic of lirs_sprite is another one in its second half, whatever the cache.
    if (std::string_view(name) == "lirs_sprite") continue;
    EXPECT_LT(errors.later, kTwoPoints) << name;
  }
}

}  // namespace
}  // namespace meridian::sim
