#include "common/engine/reuse_state.h"

#include <algorithm>
#include <cmath>

namespace meridian {
namespace {

constexpr double kFadeCapacities = 16;  // A frequency halves in so many capacities of requests.
constexpr double kStepsPerHalving = 8;
constexpr double kFirstDistance = 0.125;  // In capacities; each class reaches 4 times as far.
constexpr double kDistanceFactor = 4;

constexpr std::array<uint8_t, 256> kClassOfState = [] {
  std::array<uint8_t, 256> classes = {};
  for (int state = 0; state < 256; ++state) {
    const int distance = state >> 5;
    const int frequency = std::min(kReuseFrequencies - 1, (state & 31) / 4);
    classes[static_cast<size_t>(state)] = static_cast<uint8_t>(
        distance == 7 ? 0
                      : 1 + frequency * kReuseDistances + std::min(distance, kReuseDistances - 1));
  }
  return classes;
}();

constexpr size_t kFrequencies = 32;
constexpr size_t kFadeSteps = 32;  // Of an eighth of the time in which a frequency halves.
// 256 times the mean of the next frequency, by the present one and how much of it has faded.
const std::array<std::array<uint16_t, kFadeSteps>, kFrequencies> kNextFrequency = [] {
  std::array<std::array<uint16_t, kFadeSteps>, kFrequencies> next = {};
  for (size_t frequency = 0; frequency < kFrequencies; ++frequency) {
    for (size_t fade = 0; fade < kFadeSteps; ++fade) {
      const double left = std::exp2(static_cast<double>(frequency) / 4 -
                                    static_cast<double>(fade) / kStepsPerHalving);
      next[frequency][fade] = static_cast<uint16_t>(256 * 4 * std::log2(1 + left));
    }
  }
  return next;
}();

int TickShift(size_t most_entries, size_t resolution) {
  int shift = 0;
  while (most_entries >> (shift + 1) >= resolution) ++shift;
  return shift;
}

}  // namespace

int ReuseClassOf(ReuseState state) { return kClassOfState[state]; }

ReuseScale::ReuseScale(size_t most_entries, size_t resolution)
    : tick_shift_(TickShift(most_entries, resolution)) {
  SetCapacity(most_entries);
}

void ReuseScale::SetCapacity(size_t entries) {
  capacity_ = std::max<size_t>(entries, 1);
  const double ticks = static_cast<double>(capacity_) / static_cast<double>(1u << tick_shift_);
  double limit = kFirstDistance * ticks;
  for (uint32_t& distance_limit : distance_limits_) {
    distance_limit = static_cast<uint32_t>(limit + 0.5);
    limit *= kDistanceFactor;
  }
  fade_steps_per_tick_ = kStepsPerHalving / (kFadeCapacities * ticks);
}

double ReuseScale::DistanceOf(size_t distance_class) const {
  return kFirstDistance / 2 * std::pow(kDistanceFactor, static_cast<double>(distance_class)) *
         static_cast<double>(capacity_);
}

ReuseState ReuseScale::Next(ReuseState before, uint32_t distance, XorShift& random) const {
  const size_t frequency = before >> 5 == 7 ? 0 : before & 31;
  const double steps = static_cast<double>(distance) * fade_steps_per_tick_ + 0.5;
  const size_t fade = steps >= kFadeSteps ? kFadeSteps - 1 : static_cast<size_t>(steps);
  const uint32_t next = (kNextFrequency[frequency][fade] + (random() & 255)) >> 8;
  uint32_t distance_class = 0;
  while (distance_class < distance_limits_.size() && distance >= distance_limits_[distance_class]) {
    ++distance_class;
  }
  return static_cast<ReuseState>(distance_class << 5 | std::min<uint32_t>(next, 31));
}

}  // namespace meridian
