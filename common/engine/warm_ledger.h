// WarmLedger keeps book of what warming brought into a shard: which entries nobody has asked for
// yet, and what was evicted for them.
//
// An entry is marked when a read that warms put it in. The mark ends with the first hit (used) or
//   with the entry (unused: at once when there is no room). Of what was there already and was
//   loaded anew, only a hit after its old expiry is use: before, it would have been a hit anyway;
//   and when it is loaded anew once more, the last load has its mark, and the one before was in
//   vain. What was evicted to make room is remembered for kSoon: asked for then, it was displaced.
//   So for each source and namespace warmed >= used + unused; the difference is resident and waits
//   for its first hit.
// Bounded: marks and victims are cells of 8 bytes in sets of eight. When a set has no room an entry
//   is counted as warmed but not followed; the oldest victim of a set gives way. About one look in
//   500 million takes a stranger's mark.
// Cost: nothing is allocated before the first mark. The shard asks only of entries that say of
//   themselves that they are marked, and at a miss only when there are victims: one cache line.
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
  uint64_t warmed = 0;     // Loads: of what was not there, and of what was and was loaded anew.
  uint64_t used = 0;       // Of these, those that were hit.
  uint64_t unused = 0;     // Of these, those that were not, had no room, or live no longer.
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

  // `hash` is the EntryKey's. `due_ns`: hits before are no use; 0: all are. Kept in steps of 125
  // ms, rounded up, half a year ahead at most. False: there is no room.
  bool Mark(uint64_t hash, WarmSourceId source, int64_t due_ns, int64_t now_ns);
  // Whether a hit now is use; also when there is no mark.
  bool IsDue(uint64_t hash, int64_t now_ns);
  // Takes the mark out and says whose it was; 0: there is none.
  WarmSourceId TakeMark(uint64_t hash) { return marks_.Take(hash); }
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
  // Set-associative: fingerprint, source and a time in ticks.
  class Cells {
   public:
    explicit Cells(size_t room);
    // When the set is full: over its oldest, or not at all, and false.
    bool Put(uint64_t hash, WarmSourceId source, uint32_t ticks, bool over_oldest);
    WarmSourceId Take(uint64_t hash, uint32_t* ticks = nullptr);
    // nullptr: there is none.
    uint64_t* Find(uint64_t hash);
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
