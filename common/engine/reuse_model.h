// ReuseModel learns how soon entries of a class are used again, and tells what each is worth.
//
// For every class and age it counts how many entries reached that age unused and how many were used
// in it: a hazard. What an entry of this class and age is worth is its Gittins index: the most uses
// to expect in proportion to the time that it is held for them, over all times at which one may
// give up (Gittins, "Bandit processes and dynamic allocation indices", J. Royal Stat. Soc. B 1979;
// computed for service by age as in Aalto, Ayesta, Righter, "On the Gittins index in the M/G/1
// queue", 2009). Keeping what has the highest index is what LHD (Beckmann, Chen, Cidon, NSDI 2018)
// does with the mean in place of the maximum. Classes that have seen little lean on those of the
// same frequency, these on all, and all on a constant hazard, which is LRU.
//
// Cost: counting O(1); Solve O(classes * ages), some microseconds; 15 KiB.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_REUSE_MODEL_H_
#define MERIDIAN_COMMON_ENGINE_REUSE_MODEL_H_

#include <array>
#include <cstddef>

#include "common/engine/reuse_state.h"

namespace meridian {

// What an entry is worth, by class and age; higher stays. Comparable only within a table.
using WorthTable = std::array<std::array<float, kAgeBuckets>, kReuseClasses>;

class ReuseModel {
 public:
  // An entry of this class reached the beginning of this bucket unused (bucket 0: was just used).
  void CountReached(int reuse_class, int bucket) { ++At(reached_, reuse_class, bucket); }
  // An entry of this class was used at an age of this bucket.
  void CountUsed(int reuse_class, int bucket) { ++At(used_, reuse_class, bucket); }
  // Halves all counts, so that the past fades.
  void Fade();

  // Worth as learned so far.
  void Solve(const ReuseScale& scale, WorthTable* worth) const;

 private:
  using Counts = std::array<std::array<float, kAgeBuckets>, kReuseClasses>;
  static float& At(Counts& counts, int reuse_class, int bucket) {
    return counts[static_cast<size_t>(reuse_class)][static_cast<size_t>(bucket)];
  }

  Counts reached_ = {};
  Counts used_ = {};
};

// Tables that need no learning. In the first two an entry that was used within the last hundredth
// of the capacity is kept.
//
// By frequency alone; of two alike the older one stays, so that what is there is stable: under a
// loop that does not fit, or a scan of keys that are used twice, a part of them stays for good.
void StableFrequencyWorth(const ReuseScale& scale, WorthTable* worth);
// By the distance of the last two uses, or the age if that is longer; used once is worth least
// (LIRS: Jiang and Zhang, SIGMETRICS 2002).
void DistanceWorth(const ReuseScale& scale, WorthTable* worth);
// By age alone: LRU.
void RecencyWorth(WorthTable* worth);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REUSE_MODEL_H_
