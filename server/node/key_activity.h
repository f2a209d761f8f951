// KeyActivity is what a node remembers of the keys that it owns, beyond what it holds of them: how
// often and how evenly they are asked for, how often they change, and what became of them in L1.
//
// It is a table of fixed size, 4 cells a bucket, found by the key's hash. A key that finds its
// bucket full takes the place of the one that was seen least lately, which is then as if it was
// never seen. So what it says of a key is right or nothing (but for two keys that share 44 bits of
// their hashes), and the keys that matter, the busy ones, are the ones that it knows.
//
// Counts decay: of events at a steady rate, a count with the mean life of a day settles at the
// number of a day.
// Cost: 48 bytes a cell, taken when first used; a call is one lock of one of 64 and at most four
//   cells of one bucket; no allocation. Only namespaces with rules that ask for it pay that.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_KEY_ACTIVITY_H_
#define MERIDIAN_SERVER_NODE_KEY_ACTIVITY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace meridian {

// What is known of a key; all zero for one that was never seen.
struct KeyFacts {
  double requests_24h = 0;
  double updates_24h = 0;  // Writes that this node carried out.
  // Mean deviation of the gaps between requests over their mean: 0 for a steady beat, about 0.74
  // for independent users, above 1 for bursts. 0 until there were three requests.
  double access_variance = 0;
  // Requests a minute, by the last gaps; falls while nobody asks.
  double requests_per_minute = 0;
  // Of L1, one after the other, since the last hit or placement; up to 255.
  uint32_t misses = 0;
  // Hits of the last stay in L1, the present one if it is there; up to kMaxHits. nullopt: never
  // was.
  std::optional<uint32_t> hits;
  // Until when L2 holds the value that was last put into L1. Zero: not known.
  absl::Duration stored_until;
};

class KeyActivity {
 public:
  static constexpr uint32_t kMaxHits = 65'535;  // More are counted as so many.
  static constexpr size_t kDefaultCells = size_t{1} << 16;

  // REQUIRES: `cells` is a power of two, at least 256.
  explicit KeyActivity(size_t cells = kDefaultCells);
  ~KeyActivity();

  // `hash` is the EntryKey's; `now` a monotonic time. Returns KeyFacts::hits, this one included.
  uint32_t OnHit(uint64_t hash, absl::Duration now);
  void OnMiss(uint64_t hash, absl::Duration now);
  void OnUpdate(uint64_t hash, absl::Duration now);
  // A value is put into L1, of which L2 has a copy until `stored_until`: its stay begins.
  void OnPlaced(uint64_t hash, absl::Duration stored_until);

  KeyFacts Look(uint64_t hash, absl::Duration now) const;

  // True for one caller in `interval`: who may refresh the key now.
  bool TryRefresh(uint64_t hash, absl::Duration now, absl::Duration interval);

 private:
  struct Cell;
  static constexpr size_t kWays = 4;

  absl::Mutex& LockOf(uint64_t hash) const { return locks_[hash % locks_.size()]; }
  // The key's cell, or nullptr.
  const Cell* Find(uint64_t hash) const;
  // The key's cell, perhaps taken from another key.
  Cell& Claim(uint64_t hash);
  static void CountRequest(Cell& cell, absl::Duration now);

  const size_t buckets_;
  mutable std::array<absl::Mutex, 64> locks_;  // By bucket: buckets_ is a multiple of their number.
  const std::unique_ptr<Cell[]> cells_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_KEY_ACTIVITY_H_
