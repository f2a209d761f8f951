// PredictHitRate says what the hit rate would be with another size, TTL or policy.
//
// It replays a TrafficLog twice through engines of the real code, in which every size is scaled by
// the sample's share: once as things are, once as asked. The first half of the log only warms them.
// Keys that are asked for very often are in the sample or not, whatever their share of the traffic:
// what the sample has too few or too many of is taken as their hits (SHARDS-adj). What the replay
// of the present gets wrong it is taken to get wrong as much about the question, so the difference
// of the two is added to what was measured. A TTL that is asked for is what the cache gives; a
// value whose own life is shorter keeps that. What the first half shows first of a key may have any
// age: of a TTL that is asked for it has a share left, even over the keys. Else a load that began
// with the log would find all its values expire at once, in the counted half or after it. A key's
// write after its miss is taken for the caller's fill: had the Get been answered, it would not have
// been.
// Cost: two replays of the log, about 20 ms each with a full log of 65536 requests. No locks.

#ifndef MERIDIAN_COMMON_ENGINE_WHAT_IF_H_
#define MERIDIAN_COMMON_ENGINE_WHAT_IF_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/engine/traffic_log.h"

namespace meridian {

struct CacheShape {
  size_t max_entries = 0;  // 0: no such bound; one of the two is set.
  size_t max_bytes = 0;
  absl::Duration ttl = {};  // Zero: what each value was given.
  std::string policy = "lru";
};

struct WhatIfAnswer {
  double hit_rate = 0;           // Measured, over the counted half of the log.
  double replayed_hit_rate = 0;  // The same by replay: far from hit_rate, do not trust the next.
  double predicted_hit_rate = 0;
  uint64_t requests = 0;  // Sampled Gets that were counted: of few, do not trust it either.
};

// Returns kFailedPrecondition when the log has no Get to count, and what the engine does not
// accept.
absl::StatusOr<WhatIfAnswer> PredictHitRate(const TrafficLog::Snapshot& log,
                                            const CacheShape& present, const CacheShape& asked);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_WHAT_IF_H_
