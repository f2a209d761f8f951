// What the engine counts, by namespace.

#ifndef MERIDIAN_COMMON_ENGINE_ENGINE_STATS_H_
#define MERIDIAN_COMMON_ENGINE_ENGINE_STATS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace meridian {

// Why an entry left L1 other than by Erase.
enum class EvictionCause : uint8_t {
  kSize,       // Made room: the policy's victim.
  kTtl,        // Expired.
  kFence,      // Its slot was dropped, or everything was cleared.
  kAdmission,  // The policy refused the newcomer.
  kReplaced,   // A newer version of the key came.
};
inline constexpr size_t kEvictionCauses = 5;

// The value of the label `cause`: "size", "ttl", "fence", "admission", "replaced".
constexpr std::string_view EvictionCauseName(EvictionCause cause) {
  constexpr std::array<std::string_view, kEvictionCauses> kNames = {"size", "ttl", "fence",
                                                                    "admission", "replaced"};
  return kNames[static_cast<size_t>(cause)];
}

// Counters since the start, and what there is now.
//
// Invariant: puts + fills == erases + the sum of evictions + entries.
struct EngineCounters {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t puts = 0;    // Entries stored by Put.
  uint64_t fills = 0;   // Entries stored by PutFill.
  uint64_t erases = 0;  // Entries removed by Erase.
  std::array<uint64_t, kEvictionCauses> evictions = {};
  uint64_t demotions = 0;  // Victims that moved to another pool instead (PoolOptions::demote_to).
  uint64_t entries = 0;    // Expired and dropped ones that are not freed yet included.
  uint64_t bytes = 0;      // Their charges.

  uint64_t evicted(EvictionCause cause) const { return evictions[static_cast<size_t>(cause)]; }
  EngineCounters& operator+=(const EngineCounters& other);
  friend bool operator==(const EngineCounters&, const EngineCounters&) = default;
};

struct NamespaceEngineStats {
  std::string name_space;
  EngineCounters counters;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENGINE_STATS_H_
