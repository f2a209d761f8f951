#include "common/near/hot_keys.h"

#include <algorithm>

#include "common/base/chance.h"

namespace meridian {

bool HotKeys::IsHot(uint64_t hash) const {
  const size_t count = hot_count_.load(std::memory_order_acquire);
  for (size_t i = 0; i < count; ++i) {
    if (hot_[i].load(std::memory_order_relaxed) == hash) return true;
  }
  return false;
}

bool HotKeys::Count(uint64_t hash, absl::Duration now, Weight weight) {
  if (!OneIn(options_.sample)) return IsHot(hash);
  absl::MutexLock lock(&mu_);
  if (now - began_ >= options_.window) Turn(now);
  calls_ += weight.calls * options_.sample;
  Counter& counter = CounterOf(hash);
  counter.count += weight.keys * options_.sample;
  if (IsHot(hash)) return true;
  if (!Reaches(counter, options_.window)) return false;
  AddHot(hash);
  return true;
}

HotKeys::Counter& HotKeys::CounterOf(uint64_t hash) {
  Counter* least = nullptr;
  for (Counter& counter : counters_) {
    if (counter.hash == hash) return counter;
    if (least == nullptr || counter.count < least->count) least = &counter;
  }
  if (counters_.size() < options_.counters) return counters_.emplace_back(Counter{hash, 0, 0});
  least->hash = hash;
  least->error = least->count;
  return *least;
}

bool HotKeys::Reaches(const Counter& counter, absl::Duration time) const {
  const double seen = counter.count - counter.error;
  return seen >= options_.min_rate * absl::ToDoubleSeconds(time) &&
         seen >= options_.min_share * calls_;
}

void HotKeys::AddHot(uint64_t hash) {
  const size_t count = hot_count_.load(std::memory_order_relaxed);
  if (count == kMaxHot) return;
  hot_[count].store(hash, std::memory_order_relaxed);
  hot_count_.store(count + 1, std::memory_order_release);
}

void HotKeys::Turn(absl::Duration now) {
  const absl::Duration time = now - began_;
  hot_count_.store(0, std::memory_order_release);
  if (time < 2 * options_.window) {  // Else nobody has asked for anything for a while.
    for (const Counter& counter : counters_) {
      if (Reaches(counter, time)) AddHot(counter.hash);
    }
  }
  counters_.clear();
  calls_ = 0;
  began_ = now;
}

}  // namespace meridian
