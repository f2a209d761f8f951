#include "common/engine/reuse_model.h"

#include <algorithm>
#include <cmath>

namespace meridian {
namespace {

constexpr float kPriorHazard = 0.1f;     // Of a bucket, when nothing is known.
constexpr float kPriorWeight = 20;       // Entries that a wider group's word counts for.
constexpr float kHighestHazard = 0.98f;  // Counts that were halved apart may exceed 1.
constexpr double kOpenBucketFactor = 4;  // How much longer than wide the last bucket is taken for.
constexpr double kJustUsedShare = 0.01;

using Hazards = std::array<float, kAgeBuckets>;

double BucketBegin(int bucket, int tick_shift) {
  return static_cast<double>(AgeBucketBegin(bucket)) * static_cast<double>(1u << tick_shift);
}

// The largest slope from each point to a later one of the curve (time held, uses) is the index:
// found from the end with the upper convex hull of what follows.
void GittinsIndex(const Hazards& hazards, int tick_shift, double capacity,
                  std::array<float, kAgeBuckets>* index) {
  std::array<double, kAgeBuckets + 1> time;
  std::array<double, kAgeBuckets + 1> uses;
  time[0] = uses[0] = 0;
  double survivors = 1;
  for (size_t b = 0; b < kAgeBuckets; ++b) {
    const int bucket = static_cast<int>(b);
    double width = BucketBegin(bucket + 1, tick_shift) - BucketBegin(bucket, tick_shift);
    if (bucket == kAgeBuckets - 1) width *= kOpenBucketFactor;
    const double hazard = hazards[b];
    uses[b + 1] = uses[b] + survivors * hazard;
    time[b + 1] = time[b] + survivors * width * (1 - hazard / 2);
    survivors = std::max(survivors * (1 - hazard), 1e-9);
  }
  std::array<size_t, kAgeBuckets + 1> hull;
  size_t size = 0;
  hull[size++] = kAgeBuckets;
  for (size_t b = kAgeBuckets; b-- > 0;) {
    const auto rises_less = [&](size_t near, size_t far) {
      return (uses[near] - uses[b]) * (time[far] - time[b]) <=
             (uses[far] - uses[b]) * (time[near] - time[b]);
    };
    while (size > 1 && rises_less(hull[size - 1], hull[size - 2])) --size;
    const size_t best = hull[size - 1];
    (*index)[b] = static_cast<float>((uses[best] - uses[b]) / (time[best] - time[b]) * capacity);
    hull[size++] = b;
  }
}

}  // namespace

void ReuseModel::Fade() {
  for (Counts* counts : {&reached_, &used_}) {
    for (auto& row : *counts) {
      for (float& count : row) count /= 2;
    }
  }
}

void ReuseModel::Solve(const ReuseScale& scale, WorthTable* worth) const {
  const auto blend = [](float used, float reached, float prior) {
    return std::min(kHighestHazard, (used + kPriorWeight * prior) / (reached + kPriorWeight));
  };
  Hazards all;
  for (size_t b = 0; b < kAgeBuckets; ++b) {
    float used = 0;
    float reached = 0;
    for (size_t c = 0; c < kReuseClasses; ++c) {
      used += used_[c][b];
      reached += reached_[c][b];
    }
    all[b] = blend(used, reached, kPriorHazard);
  }
  const auto solve_group = [&](size_t first, size_t last) {
    Hazards group;
    for (size_t b = 0; b < kAgeBuckets; ++b) {
      float used = 0;
      float reached = 0;
      for (size_t c = first; c <= last; ++c) {
        used += used_[c][b];
        reached += reached_[c][b];
      }
      group[b] = blend(used, reached, all[b]);
    }
    for (size_t c = first; c <= last; ++c) {
      Hazards own;
      for (size_t b = 0; b < kAgeBuckets; ++b) {
        own[b] = blend(used_[c][b], reached_[c][b], group[b]);
      }
      GittinsIndex(own, scale.tick_shift(), static_cast<double>(scale.capacity()), &(*worth)[c]);
    }
  };
  solve_group(0, 0);
  for (size_t f = 0; f < kReuseFrequencies; ++f) {
    solve_group(1 + f * kReuseDistances, (f + 1) * kReuseDistances);
  }
}

namespace {

// What is kept because it was used just now comes before everything else, by age.
constexpr float kJustUsed = 100;

bool IsJustUsed(size_t bucket, const ReuseScale& scale) {
  const double end = BucketBegin(static_cast<int>(bucket) + 1, scale.tick_shift());
  return end <= kJustUsedShare * static_cast<double>(scale.capacity()) + 1;
}

}  // namespace

void StableFrequencyWorth(const ReuseScale& scale, WorthTable* worth) {
  for (size_t c = 0; c < kReuseClasses; ++c) {
    const size_t frequency = c == 0 ? 0 : 1 + (c - 1) / kReuseDistances;
    for (size_t b = 0; b < kAgeBuckets; ++b) {
      const float age = static_cast<float>(b);
      (*worth)[c][b] = IsJustUsed(b, scale) ? kJustUsed - age * 0.1f
                                            : static_cast<float>(frequency) + age * 0.01f;
    }
  }
}

void DistanceWorth(const ReuseScale& scale, WorthTable* worth) {
  // Worth is 40 less the octaves of requests, so that it stays positive; first uses are below all.
  constexpr double kMost = 40;
  for (size_t c = 0; c < kReuseClasses; ++c) {
    const double distance = c == 0 ? 0 : scale.DistanceOf((c - 1) % kReuseDistances);
    const size_t frequency = c == 0 ? 0 : 1 + (c - 1) / kReuseDistances;
    for (size_t b = 0; b < kAgeBuckets; ++b) {
      const float age = static_cast<float>(b);
      const double end = BucketBegin(static_cast<int>(b) + 1, scale.tick_shift());
      float value = 0.1f - age * 0.001f;
      if (c != 0) {
        value = static_cast<float>(std::max(kMost - std::log2(std::max(end, distance)), 0.5)) -
                age * 0.001f + static_cast<float>(frequency) * 0.0001f;
      }
      (*worth)[c][b] = IsJustUsed(b, scale) ? kJustUsed - age * 0.1f : value;
    }
  }
}

void RecencyWorth(WorthTable* worth) {
  for (auto& row : *worth) {
    for (size_t b = 0; b < kAgeBuckets; ++b) row[b] = kJustUsed - static_cast<float>(b);
  }
}

}  // namespace meridian
