#include "server/node/key_rates.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace meridian {
namespace {

constexpr double kMaxHalfLives = 64;  // Since base_.
// Rates are told as of at least this time: of the first moments they would be guesses.
constexpr double kLeastHalfLives = 1.0 / 12;

}  // namespace

double KeyRates::WeightAt(absl::Duration now) const {
  return std::exp2(absl::FDivDuration(now - base_, options_.half_life));
}

size_t KeyRates::FindLeast() const {
  const auto least =
      std::min_element(counters_.begin(), counters_.end(),
                       [](const Counter& a, const Counter& b) { return a.weight < b.weight; });
  return static_cast<size_t>(least - counters_.begin());
}

float& KeyRates::CellOf(uint64_t hash) {
  // Mixed: the keys of a namespace may have bits in common, those that choose its shards.
  return cells_[static_cast<size_t>((hash * 0x9E3779B97F4A7C15) >> 32) & (cells_.size() - 1)];
}

void KeyRates::Rebase(absl::Duration now) {
  const double weight = WeightAt(now);
  for (Counter& counter : counters_) {
    counter.weight /= weight;
    counter.error /= weight;
  }
  for (float& cell : cells_) cell = static_cast<float>(cell / weight);
  base_ = now;
}

void KeyRates::Count(uint64_t hash, std::string_view key, absl::Duration now) {
  absl::MutexLock lock(&mu_);
  if (counters_.empty()) began_ = base_ = now;
  if (now - base_ > kMaxHalfLives * options_.half_life) Rebase(now);
  const double weight = WeightAt(now);
  const auto found = std::find(hashes_.begin(), hashes_.end(), hash);
  const size_t index = static_cast<size_t>(found - hashes_.begin());
  if (found != hashes_.end()) {
    counters_[index].weight += weight;
    if (index == least_ && !cells_.empty()) least_ = FindLeast();
    return;
  }
  if (index < options_.counters) {
    hashes_.push_back(hash);
    counters_.push_back({weight, 0, std::string(key)});
    return;
  }
  if (cells_.empty()) {
    cells_.resize(options_.cells);
    least_ = FindLeast();
  }
  float& cell = CellOf(hash);
  Counter& least = counters_[least_];
  if (cell + weight <= least.weight) {
    cell += static_cast<float>(weight);
    return;
  }
  const double error = cell;
  // The key that leaves may come back: its reads are not forgotten.
  float& left = CellOf(hashes_[least_]);
  left = std::max(left, static_cast<float>(least.weight));
  hashes_[least_] = hash;
  least.weight = error + weight;
  least.error = error;
  least.key = key;
  least_ = FindLeast();
}

std::vector<KeyRate> KeyRates::Top(size_t limit, absl::Duration now) const {
  std::vector<KeyRate> top;
  {
    absl::ReaderMutexLock lock(&mu_);
    if (counters_.empty()) return top;
    // At a steady rate a decayed count tends to the reads of half_life / ln 2; of it, what the time
    // since the first read has brought.
    const double half_lives =
        std::max(absl::FDivDuration(now - began_, options_.half_life), kLeastHalfLives);
    const double seconds =
        absl::ToDoubleSeconds(options_.half_life) / std::log(2.0) * (1 - std::exp2(-half_lives));
    const double per_second = options_.sample / (WeightAt(now) * seconds);
    for (const Counter& counter : counters_) {
      top.push_back({counter.key, (counter.weight - counter.error) * per_second});
    }
  }
  const auto hotter = [](const KeyRate& a, const KeyRate& b) {
    return std::tie(b.per_second, a.key) < std::tie(a.per_second, b.key);
  };
  const size_t count = std::min(limit, top.size());
  std::partial_sort(top.begin(), top.begin() + static_cast<std::ptrdiff_t>(count), top.end(),
                    hotter);
  top.resize(count);
  return top;
}

}  // namespace meridian
