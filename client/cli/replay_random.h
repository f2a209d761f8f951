// Random numbers that are the same on every machine and in every release, so that --seed repeats a
// run. Not thread safe.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_RANDOM_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_RANDOM_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace meridian::cli {

// A bijection of 64 bits that leaves no pattern (Steele, Lea, Flood: SplitMix, OOPSLA 2014).
inline uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

class ReplayRandom {
 public:
  explicit ReplayRandom(uint64_t seed) : state_(Mix64(seed + 1)) {}

  uint64_t Next() { return Mix64(state_ += 0x9E3779B97F4A7C15u); }
  // 0 .. bound-1. REQUIRES: bound > 0.
  uint64_t Below(uint64_t bound) { return Next() % bound; }
  // 0 .. 1, without 1.
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }

 private:
  uint64_t state_;
};

// Draws 0 .. count-1, rank r with a probability proportional to 1 / (r + 1)^exponent.
class ZipfDraw {
 public:
  ZipfDraw(size_t count, double exponent) : cumulative_(count) {
    double sum = 0;
    for (size_t i = 0; i < count; ++i) {
      sum += std::pow(static_cast<double>(i + 1), -exponent);
      cumulative_[i] = sum;
    }
  }

  size_t operator()(ReplayRandom& random) const {
    const double point = random.Unit() * cumulative_.back();
    const auto found = std::upper_bound(cumulative_.begin(), cumulative_.end(), point);
    return std::min<size_t>(found - cumulative_.begin(), cumulative_.size() - 1);
  }

 private:
  std::vector<double> cumulative_;
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_RANDOM_H_
