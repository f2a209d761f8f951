// ReuseAudit follows a sample of the keys, resident or not: it teaches the ReuseModel, and runs
// small caches on the sample, one for each table of worths, to tell which table serves best.
//
// Miniature simulation (Waldspurger, Saemundsson, Ahmad, Park, "Cache modeling and optimization
// using miniature simulations", USENIX ATC 2017): of a capacity of C entries, about kEntries, keys
// whose hash falls into a share kEntries / C are followed, and a small cache has that share of the
// room. A capacity up to kEntries is followed whole.
//
// Cost: a request whose key is not sampled costs one comparison. Memory is constant: 32 * kEntries
//   uses are remembered at 20 bytes, and indexed with 8.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_REUSE_AUDIT_H_
#define MERIDIAN_COMMON_ENGINE_REUSE_AUDIT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/engine/candidate_pool.h"
#include "common/engine/reuse_model.h"
#include "common/engine/reuse_state.h"

namespace meridian {

// The tables that are tried against each other.
enum ReuseTable { kLearnedWorth, kStableWorth, kDistanceWorth, kRecencyWorth };
inline constexpr size_t kReuseTables = 4;
using WorthTables = std::array<WorthTable, kReuseTables>;

class ReuseAudit {
 public:
  static constexpr size_t kEntries = 1024;

  // `entries`: what the cache holds, about; `room`: what it may hold, in the unit of `charge`s.
  ReuseAudit(size_t entries, size_t room, XorShift random);

  bool IsSampled(uint64_t hash) const { return (hash * kSpread >> 32) <= threshold_; }

  struct Use {
    uint32_t hash;
    uint32_t tick;
    ReuseState state;  // With this use.
    float charge;      // Of the entry; 1 where entries are counted.
    float cost;        // Of a miss.
  };
  // REQUIRES: IsSampled. `tables` are those that the small caches go by.
  void Record(const Use& use, const WorthTables& tables, ReuseModel* model);

  // The table whose small cache has missed least of late.
  ReuseTable Best() const { return best_; }

 private:
  static constexpr uint64_t kSpread = 0xFF51AFD7ED558CCD;
  static constexpr size_t kRemembered = 32;  // Uses a sampled entry.
  static constexpr uint32_t kNone = ~uint32_t{0};

  // One use; the latest one of its key holds what is known of the key.
  struct Sample {
    uint32_t hash = 0;
    uint32_t tick = 0;
    float charge = 0;
    std::array<uint32_t, kReuseTables> places = {kNone, kNone, kNone,
                                                 kNone};  // In the small caches.
    ReuseState state = 0;
    bool latest = false;
  };
  // A small cache: what it holds, by place in uses_.
  struct Shadow {
    std::vector<uint32_t> held;
    double charge = 0;
    double misses = 0;  // Their costs; they fade.
    CandidatePool candidates;
  };

  void CountAges(uint32_t tick, ReuseModel* model);
  void ForgetOldest();
  void Touch(size_t table, uint32_t at, const Use& use, bool held, const WorthTable& worth);
  void Drop(size_t table, uint32_t place);
  uint32_t* FindIndex(uint32_t hash);
  void EraseIndex(uint32_t hash);

  uint32_t threshold_;
  double share_room_;  // Of a small cache.
  double fade_;        // Of the misses, a sampled use.
  double fade_model_after_;
  double recorded_ = 0;
  XorShift random_;
  std::vector<Sample> uses_;  // A ring.
  uint64_t next_ = 0;         // Uses so far; the place of the next is next_ % uses_.size().
  std::array<uint64_t, kAgeBuckets> counted_ = {};  // Uses before it have reached the bucket.
  std::vector<uint32_t> index_;  // Hash to place in uses_: linear probing, a power of two.
  std::array<Shadow, kReuseTables> shadows_;
  ReuseTable best_ = kLearnedWorth;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REUSE_AUDIT_H_
