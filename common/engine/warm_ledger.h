// WarmLedger keeps book of what warming brought into a shard: which entries nobody has asked for
// yet, and what was evicted for them.
//
// An entry is marked when a read that warms put it in. The mark ends with the first hit (used) or
//   with the entry (unused). What was evicted to make room for it is remembered for kSoon: when it
//   is asked for meanwhile, it was displaced. So for each source and namespace
//   warmed >= used + unused, and the difference is resident and waits for its first hit.
// Bounded: marks and victims are cells of 8 bytes in sets of eight. When a set has no room an entry
//   is counted as warmed but not followed; the oldest victim of a set gives way. About one look in
//   500 million takes a stranger's mark.
// Cost: nothing is allocated before the first mark. A hit asks only when it is its entry's first
//   one, a miss only when there are victims: one cache line.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_WARM_LEDGER_H_
#define MERIDIAN_COMMON_ENGINE_WARM_LEDGER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/engine/entry.h"

namespace meridian {

// A source of warming as the engine knows it, from 1, given by Engine::InternWarmSource; 0: none.
using WarmSourceId = uint8_t;
inline constexpr WarmSourceId kMaxWarmSources = 15;

struct WarmedCounts {
  uint64_t warmed = 0;     // Entries that were not in memory, and stayed.
  uint64_t used = 0;       // Of these, those that were hit.
  uint64_t unused = 0;     // Of these, those that ended without a hit.
  uint64_t displaced = 0;  // Evicted for them, and asked for again soon after.

  WarmedCounts& operator+=(const WarmedCounts& other);
  friend bool operator==(const WarmedCounts&, const WarmedCounts&) = default;
};

class WarmLedger {
 public:
  static constexpr int64_t kSoonSeconds = 60;
  // By namespace and source.
  using Books = std::map<std::pair<NamespaceId, WarmSourceId>, WarmedCounts>;

  // `marks`, `victims`: how many it has room for, about.
  WarmLedger(size_t marks, size_t victims);

  // `hash` is the EntryKey's.
  void Mark(uint64_t hash, WarmSourceId source);
  // Takes the mark out and says whose it was; 0: there is none.
  WarmSourceId TakeMark(uint64_t hash) { return has_marks() ? marks_.Take(hash) : 0; }
  bool has_marks() const { return marks_.used() > 0; }

  void AddVictim(uint64_t hash, WarmSourceId source, int64_t now_ns);
  // Whom a key that is asked for made way for, lately; 0: nobody.
  WarmSourceId TakeVictim(uint64_t hash, int64_t now_ns);
  bool has_victims() const { return victims_.used() > 0; }

  WarmedCounts& Of(NamespaceId name_space, WarmSourceId source) {
    return books_[{name_space, source}];
  }
  void AddTo(Books* books) const;

 private:
  // Set-associative: fingerprint, source and a time in seconds.
  class Cells {
   public:
    explicit Cells(size_t room);
    // When the set is full: over its oldest, or not at all.
    void Put(uint64_t hash, WarmSourceId source, uint32_t seconds, bool over_oldest);
    WarmSourceId Take(uint64_t hash, uint32_t* seconds = nullptr);
    size_t used() const { return used_; }

   private:
    static constexpr size_t kWays = 8;
    struct alignas(64) Set {
      std::array<uint64_t, kWays> cells = {};  // 0: free.
    };
    Set& SetOf(uint64_t hash) { return sets_[hash & (sets_.size() - 1)]; }

    std::vector<Set> sets_;  // A power of two.
    size_t used_ = 0;
  };

  Cells marks_;
  Cells victims_;
  absl::flat_hash_map<std::pair<NamespaceId, WarmSourceId>, WarmedCounts> books_;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_WARM_LEDGER_H_
