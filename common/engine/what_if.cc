#include "common/engine/what_if.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "common/engine/engine.h"

namespace meridian {
namespace {

constexpr size_t kUnbounded = std::numeric_limits<size_t>::max() / 4;
constexpr size_t kAdvanceLimit = 1 << 20;

// What a replay of the log can fill. A larger bound evicts as little, and a policy would make room
// for all of it: a question must not cost more memory than the log.
struct Most {
  size_t entries = 1;
  size_t bytes = 1;
};

Most MostOf(const TrafficLog::Snapshot& log) {
  Most most;
  most.entries += log.requests.size();
  for (const LoggedRequest& request : log.requests) most.bytes += request.size;
  return most;
}

// `bound` may be any number, also one that no integer of the engine holds when it is scaled.
size_t Scaled(size_t bound, double rate, size_t most) {
  const double scaled = std::round(static_cast<double>(bound) * rate);
  if (scaled >= static_cast<double>(most)) return most;
  return std::max<size_t>(static_cast<size_t>(scaled), 1);
}

bool IsGet(const LoggedRequest& request) {
  return request.kind == TrafficKind::kHit || request.kind == TrafficKind::kMiss;
}

absl::Duration TimeOf(const LoggedRequest& request) { return absl::Microseconds(request.time_us); }

absl::Duration LifeOfMillis(uint32_t ms) {
  return ms == 0 ? absl::InfiniteDuration() : absl::Milliseconds(ms);
}

// What the log's past tells of a request.
struct Meaning {
  TrafficKind kind;
  absl::Duration own_left;   // Of the value, whatever TTL a cache gives it.
  bool first_value = false;  // Of the key, in the log.
};

class KeyPasts {
 public:
  // `request` is the next of the log.
  Meaning Read(const LoggedRequest& request) {
    Past& past = pasts_[request.hash];
    const absl::Duration now = TimeOf(request);
    Meaning meaning = {request.kind, absl::InfiniteDuration()};
    switch (request.kind) {
      case TrafficKind::kHit:
        // A hit after the end: the value was replaced where the log does not see it.
        if (past.own_end > now) meaning.own_left = past.own_end - now;
        meaning.first_value = !std::exchange(past.valued, true);
        break;
      case TrafficKind::kMiss:
        break;
      case TrafficKind::kWrite:
        // A caller who missed and then writes has filled the cache: without the miss it would not.
        if (past.missed) meaning.kind = TrafficKind::kFill;
        [[fallthrough]];
      case TrafficKind::kFill:
        meaning.own_left = LifeOfMillis(request.own_ms);
        past.own_end = now + meaning.own_left;
        meaning.first_value = !std::exchange(past.valued, true);
        break;
      case TrafficKind::kErase:
        past.own_end = absl::InfiniteDuration();
        break;
    }
    past.missed = request.kind == TrafficKind::kMiss;
    return meaning;
  }

 private:
  struct Past {
    absl::Duration own_end = absl::InfiniteDuration();
    bool missed = false;  // By the key's request before.
    bool valued = false;  // A value of it was seen.
  };
  absl::flat_hash_map<uint64_t, Past> pasts_;
};

// A small engine without values that lives through the log.
class Ghost {
 public:
  static absl::StatusOr<Ghost> Create(const CacheShape& shape, double rate, const Most& most) {
    Ghost ghost;
    ASSIGN_OR_RETURN(
        ghost.engine_,
        Engine::Create(
            {.capacity_bytes =
                 shape.max_bytes == 0 ? kUnbounded : Scaled(shape.max_bytes, rate, most.bytes),
             .capacity_entries =
                 shape.max_entries == 0 ? 0 : Scaled(shape.max_entries, rate, most.entries),
             .shard_bits = 0,
             .policy = shape.policy,
             .charge = ChargeMode::kValueBytes}));
    ghost.name_space_ = *ghost.engine_->InternNamespace("ghost");
    ghost.ttl_ = shape.ttl;
    return ghost;
  }

  // Whether a Get would be answered.
  bool Live(const LoggedRequest& request, const Meaning& meaning) {
    now_ = std::max(now_, TimeOf(request));
    engine_->Advance(now_, kAdvanceLimit);
    const std::string_view bytes(reinterpret_cast<const char*>(&request.hash), sizeof(uint64_t));
    const EntryKey key = {.name_space = name_space_,
                          .slot = 0,
                          .hash = engine_->HashOf(name_space_, bytes),
                          .key = bytes};
    Entry entry;
    switch (meaning.kind) {
      case TrafficKind::kHit:
        if (engine_->Get(key, now_, &entry)) return true;
        // Read-through: what was there is what would be loaded.
        Put(key, request, meaning);
        return false;
      case TrafficKind::kMiss:
        return engine_->Get(key, now_, &entry);
      case TrafficKind::kFill:
        if (!engine_->Peek(key, now_, &entry)) Put(key, request, meaning);
        return false;
      case TrafficKind::kWrite:
        Put(key, request, meaning);
        return false;
      case TrafficKind::kErase:
        engine_->Erase(key, {.hlc = ++version_, .region = 1});
        return false;
    }
    return false;
  }

 private:
  void Put(const EntryKey& key, const LoggedRequest& request, const Meaning& meaning) {
    absl::Duration ttl = ttl_ == absl::ZeroDuration() ? LifeOfMillis(request.given_ms) : ttl_;
    if (ttl_ != absl::ZeroDuration() && meaning.first_value) ttl *= ShareLeft(request.hash);
    Entry entry;
    entry.expires_at = now_ + std::min(ttl, meaning.own_left);
    entry.version = {.hlc = ++version_, .region = 1};
    entry.phantom_bytes = request.size;
    engine_->Put(key, std::move(entry), now_);
  }

  // Between 0 and 1, even over the keys, by other bits than those that choose the sample.
  static double ShareLeft(uint64_t hash) {
    return (static_cast<double>(hash >> 40) + 0.5) / static_cast<double>(1 << 24);
  }

  std::unique_ptr<Engine> engine_;
  NamespaceId name_space_ = 0;
  absl::Duration ttl_;
  absl::Duration now_;
  uint64_t version_ = 0;
};

}  // namespace

absl::StatusOr<WhatIfAnswer> PredictHitRate(const TrafficLog::Snapshot& log,
                                            const CacheShape& present, const CacheShape& asked) {
  const Most most = MostOf(log);
  ASSIGN_OR_RETURN(Ghost as_is, Ghost::Create(present, log.rate, most));
  ASSIGN_OR_RETURN(Ghost as_asked, Ghost::Create(asked, log.rate, most));
  KeyPasts pasts;
  const size_t counted_from = log.requests.size() / 2;
  double gets = 0;
  double measured = 0;
  double hits_as_is = 0;
  double hits_as_asked = 0;
  for (size_t i = 0; i < log.requests.size(); ++i) {
    const LoggedRequest& request = log.requests[i];
    Meaning meaning = pasts.Read(request);
    if (i >= counted_from) meaning.first_value = false;  // A new key, as far as one can tell.
    const bool hit_as_is = as_is.Live(request, meaning);
    const bool hit_as_asked = as_asked.Live(request, meaning);
    if (i < counted_from || !IsGet(request)) continue;
    gets += 1;
    measured += request.kind == TrafficKind::kHit ? 1 : 0;
    hits_as_is += hit_as_is ? 1 : 0;
    hits_as_asked += hit_as_asked ? 1 : 0;
  }
  if (gets == 0) return absl::FailedPreconditionError("no requests were seen yet");
  // SHARDS-adj. The first counted request is one of those asked since.
  const auto asked_since = static_cast<double>(log.asked - log.requests[counted_from].asked + 1);
  const double expected = std::max(asked_since * log.rate, 1.0);
  const double missing = expected - gets;
  const auto rate_of = [&](double hits) {
    return std::clamp((hits + missing) / expected, 0.0, 1.0);
  };
  WhatIfAnswer answer;
  answer.requests = static_cast<uint64_t>(gets);
  answer.hit_rate = rate_of(measured);
  answer.replayed_hit_rate = rate_of(hits_as_is);
  answer.predicted_hit_rate =
      std::clamp(answer.hit_rate + rate_of(hits_as_asked) - answer.replayed_hit_rate, 0.0, 1.0);
  return answer;
}

}  // namespace meridian
