// FrequencySketch estimates how often a hash was counted lately, in 4 bits.
//
// A count-min sketch as Caffeine lays it out (Einziger, Friedman, Manes, "TinyLFU", ACM TOS 2017):
// the four counters of a hash are in one cache line, an estimate is the least of them, at most 15.
// It ages: after ten counts for every entry that it is made for, all counters are halved, so that
//   what was is worth less than what is. Cost: Count and Estimate touch one cache line; ageing and
//   growing touch all, once in ten times as many counts or when the entries have doubled. 8 to 16
//   bytes an entry.
// Promise: growing keeps every estimate.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_FREQUENCY_SKETCH_H_
#define MERIDIAN_COMMON_ENGINE_FREQUENCY_SKETCH_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace meridian {

class FrequencySketch {
 public:
  explicit FrequencySketch(size_t entries) { Grow(entries); }

  // Makes room for so many entries; never shrinks. Allocates only when they have about doubled.
  void Grow(size_t entries);

  void Count(uint32_t hash);
  int Estimate(uint32_t hash) const;

  // The counts after which it ages.
  size_t period() const { return period_; }

 private:
  // A cache line of 128 counters.
  struct alignas(64) Block {
    std::array<uint64_t, 8> words = {};
  };
  static constexpr int kDepth = 4;

  struct Place {
    size_t word;
    int shift;
  };
  // Where the counters are: a word of its own for each.
  static Place PlaceOf(uint32_t counter_hash, int depth);
  void Age();

  std::vector<Block> blocks_;  // A power of two.
  size_t entries_ = 0;
  size_t period_ = 0;
  size_t counts_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_FREQUENCY_SKETCH_H_
