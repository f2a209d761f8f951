// What the adaptive policy knows of a key: one byte of state and the time of the last use.
//
// ReuseState: 5 bits of frequency and 3 bits that say how far apart the last two uses were. The
// frequency fades with time: each use makes it 1 + f * 2^(-distance / 16 capacities); kept is
// 4 log2 f, rounded at random so that the mean is right (Morris, "Counting large numbers of events
// in small registers", CACM 1978). ReuseScale holds everything of it that depends on the capacity:
// distances are told in capacities. Time is counted in requests, coarsely: in ticks of
// 2^tick_shift() of them.
//
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_REUSE_STATE_H_
#define MERIDIAN_COMMON_ENGINE_REUSE_STATE_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace meridian {

using ReuseState = uint8_t;
inline constexpr ReuseState kFirstUse = 7 << 5;  // Used once, as far as anybody remembers.

// Keys of one class are expected to come back alike.
inline constexpr int kReuseFrequencies = 6;
inline constexpr int kReuseDistances = 5;
inline constexpr int kReuseClasses = 1 + kReuseFrequencies * kReuseDistances;  // 0: used once.
int ReuseClassOf(ReuseState state);

// Ages fall into buckets of half octaves: 0, 1, 2, 3, 4-5, 6-7, 8-11, ... ticks; the last is open.
inline constexpr int kAgeBuckets = 40;
inline int AgeBucketOf(uint32_t ticks) {
  if (ticks < 2) return static_cast<int>(ticks);
  const int log = 31 - std::countl_zero(ticks);
  const int bucket = 2 * log + static_cast<int>(ticks >> (log - 1) & 1);
  return bucket < kAgeBuckets ? bucket : kAgeBuckets - 1;
}
// The first tick of a bucket; also of bucket kAgeBuckets, where the last would end.
constexpr uint32_t AgeBucketBegin(int bucket) {
  if (bucket < 2) return static_cast<uint32_t>(bucket);
  return (bucket & 1) != 0 ? 3u << (bucket / 2 - 1) : 1u << (bucket / 2);
}

// Deterministic, and good enough to choose candidates.
class XorShift {
 public:
  explicit XorShift(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15 + 88172645463325252) {}
  uint64_t operator()() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  // Below `bound`.
  uint32_t Below(uint32_t bound) {
    return static_cast<uint32_t>(((*this)() & 0xFFFFFFFF) * bound >> 32);
  }

 private:
  uint64_t state_;
};

class ReuseScale {
 public:
  // Ticks are fixed for good by `most_entries`, about 1/`resolution` of it. `resolution` > the
  // factor by which a later SetCapacity may be lower, or ages become too coarse to tell anything.
  ReuseScale(size_t most_entries, size_t resolution);

  void SetCapacity(size_t entries);
  size_t capacity() const { return capacity_; }
  int tick_shift() const { return tick_shift_; }
  // A distance that is typical of a class, 0 to kReuseDistances - 1, in requests.
  double DistanceOf(size_t distance_class) const;

  // The state after another use, `distance` ticks after the last one.
  ReuseState Next(ReuseState before, uint32_t distance, XorShift& random) const;

 private:
  int tick_shift_;
  size_t capacity_ = 0;
  std::array<uint32_t, kReuseDistances - 1> distance_limits_ = {};  // In ticks.
  double fade_steps_per_tick_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_REUSE_STATE_H_
