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

// Why L1 does not have a key that it is asked for: as far as is remembered (GoneKeys), what became
// of its entry last.
enum class MissCause : uint8_t {
  kNew,   // L1 did not have it, or so long ago that it is forgotten.
  kSize,  // These are as for EvictionCause.
  kTtl,
  kFence,
  kAdmission,  // Here also what the admission policy of a namespace kept out (Engine::NoteRefused).
  kReplaced,   // By a version that could not stay: too large, or expired.
  kErase,      // An invalidation, or a newer version elsewhere.
};
inline constexpr size_t kMissCauses = 7;

constexpr MissCause MissCauseOf(EvictionCause cause) {
  return static_cast<MissCause>(static_cast<uint8_t>(cause) + 1);
}

// The value of the label `cause`: "new", "erase", else as for EvictionCauseName.
constexpr std::string_view MissCauseName(MissCause cause) {
  if (cause == MissCause::kNew) return "new";
  if (cause == MissCause::kErase) return "erase";
  return EvictionCauseName(static_cast<EvictionCause>(static_cast<uint8_t>(cause) - 1));
}

// Counters since the start, and what there is now.
//
// Invariant: puts + fills == erases + the sum of evictions + entries.
struct EngineCounters {
  uint64_t hits = 0;
  std::array<uint64_t, kMissCauses> misses_by = {};
  uint64_t puts = 0;    // Entries stored by Put.
  uint64_t fills = 0;   // Entries stored by PutFill.
  uint64_t erases = 0;  // Entries removed by Erase.
  std::array<uint64_t, kEvictionCauses> evictions = {};
  uint64_t demotions = 0;  // Victims that moved to another pool instead (PoolOptions::demote_to).
  uint64_t entries = 0;    // Expired and dropped ones that are not freed yet included.
  uint64_t bytes = 0;      // Their charges.

  uint64_t misses() const;  // For whatever cause.
  uint64_t missed(MissCause cause) const { return misses_by[static_cast<size_t>(cause)]; }
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
