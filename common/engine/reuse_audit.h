// ReuseAudit follows a sample of the keys, resident or not: it teaches the ReuseModel, and runs
// small caches on the sample, one for each table of worths, to tell which table serves best.
//
// Miniature simulation (Waldspurger, Saemundsson, Ahmad, Park, "Cache modeling and optimization
// using miniature simulations", USENIX ATC 2017): of a cache of C entries, the keys are followed
// whose hash falls into a share S / C, and a small cache has that share of the room. S is 1024 up
// to 4096 entries, so that a cache of 1024 is followed whole; then C / 128, from 512 to 1024: more
// tells little more (ADR 0009), and would take more memory than the ghosts.
//
// Cost: a request whose key is not sampled costs one comparison. Memory: 32 bytes for each use
//   that is remembered, 32 S uses up to 4096 entries, then 16 S: 4 bytes an entry, at most 1 MiB.
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

// Which keys are followed.
class ReuseSample {
 public:
  ReuseSample() = default;
  explicit ReuseSample(uint32_t threshold) : threshold_(threshold) {}
  bool Has(uint64_t hash) const { return (hash * kSpread >> 32) <= threshold_; }
  // For whoever keeps 16 bits of a key and not its hash: false when Has would be.
  static uint16_t BitsOf(uint64_t hash) { return static_cast<uint16_t>(hash * kSpread >> 48); }
  bool MayHave(uint16_t bits) const { return bits <= threshold_ >> 16; }

 private:
  static constexpr uint64_t kSpread = 0xFF51AFD7ED558CCD;
  uint32_t threshold_ = 0;
};

class ReuseAudit {
 public:
  // `entries`: what the cache holds, about; `room`: what it may hold, in the unit of `charge`s.
  ReuseAudit(size_t entries, size_t room, XorShift random);

  ReuseSample sample() const { return sample_; }

  struct Use {
    uint32_t hash;
    uint32_t tick;
    ReuseState state;  // With this use.
    float charge;      // Of the entry; 1 where entries are counted.
    float cost;        // Of a miss.
  };
  // REQUIRES: the key is in the sample. `tables` are those that the small caches go by.
  void Record(const Use& use, const WorthTables& tables, ReuseModel* model);

  // The table whose small cache has missed least of late.
  ReuseTable Best() const { return best_; }

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};
  using Place = uint16_t;  // In Shadow::held, which is shorter than uses_.
  static constexpr Place kNowhere = 0xFFFF;

  // One use; the latest one of its key holds what is known of the key.
  struct Sample {
    uint32_t hash = 0;
    uint32_t tick = 0;
    float charge = 0;
    std::array<Place, kReuseTables> places = {kNowhere, kNowhere, kNowhere, kNowhere};
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
  void Drop(size_t table, Place place);
  uint32_t* FindIndex(uint32_t hash);
  void EraseIndex(uint32_t hash);

  ReuseSample sample_;
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
