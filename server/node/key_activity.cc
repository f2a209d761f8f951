#include "server/node/key_activity.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

#include "server/policy/namespace_policy.h"

namespace meridian {
namespace {

constexpr double kDaySeconds = 24 * 3600;
// Weight of the newest gap in the means of gaps.
constexpr float kGapWeight = 0.125;

double Seconds(absl::Duration time) { return absl::ToDoubleSeconds(time); }

uint32_t Milliseconds(absl::Duration time) {
  return static_cast<uint32_t>(absl::ToInt64Milliseconds(time));
}

// `count` as it is `elapsed_seconds` later.
double Decayed(double count, double elapsed_seconds) {
  if (count == 0 || elapsed_seconds <= 0) return count;
  return count * std::exp(-elapsed_seconds / kDaySeconds);
}

template <typename T>
void AddOne(T& count) {
  if (count < std::numeric_limits<T>::max()) ++count;
}

}  // namespace

// All zero is a free cell. Times are seconds of the monotonic clock, which is never 0 in a cell in
// use.
struct KeyActivity::Cell {
  uint32_t tag = 0;
  float requests = 0;  // Decayed up to `requested_at`.
  double requested_at = 0;
  double updated_at = 0;
  float updates = 0;  // Decayed up to `updated_at`.
  float gap_mean = 0;
  float gap_deviation = 0;
  uint32_t stored_until = 0;  // Whole seconds, rounded down: L1 must not outlive L2.
  uint32_t refreshed_ms = 0;  // Wraps around.
  uint16_t hits = 0;
  uint8_t misses = 0;
  bool was_placed = false;
};

KeyActivity::KeyActivity(size_t cells) : buckets_(cells / kWays), cells_(new Cell[cells]()) {
  static_assert(sizeof(Cell) == 48);
  static_assert(kMaxHits == std::numeric_limits<decltype(Cell::hits)>::max());
  // A threshold is told from one hit more, and that one from all that follow.
  static_assert(kMaxResidenceHits + 1 < kMaxHits);
  assert(cells >= 256 && (cells & (cells - 1)) == 0);
}

KeyActivity::~KeyActivity() = default;

const KeyActivity::Cell* KeyActivity::Find(uint64_t hash) const {
  const Cell* bucket = &cells_[hash % buckets_ * kWays];
  const uint32_t tag = static_cast<uint32_t>(hash >> 32) | 1;
  for (size_t i = 0; i < kWays; ++i) {
    if (bucket[i].tag == tag) return &bucket[i];
  }
  return nullptr;
}

KeyActivity::Cell& KeyActivity::Claim(uint64_t hash) {
  if (const Cell* found = Find(hash)) return const_cast<Cell&>(*found);
  Cell* bucket = &cells_[hash % buckets_ * kWays];
  const auto seen = [](const Cell& cell) {
    return cell.tag == 0 ? -1 : std::max(cell.requested_at, cell.updated_at);
  };
  Cell& cell = *std::min_element(bucket, bucket + kWays,
                                 [&](const Cell& a, const Cell& b) { return seen(a) < seen(b); });
  cell = Cell();
  cell.tag = static_cast<uint32_t>(hash >> 32) | 1;
  return cell;
}

void KeyActivity::CountRequest(Cell& cell, absl::Duration now) {
  const double at = Seconds(now);
  if (cell.requested_at != 0) {
    const float gap = static_cast<float>(std::max(at - cell.requested_at, 0.0));
    if (cell.gap_mean == 0) {
      cell.gap_mean = gap;
    } else {
      cell.gap_deviation += kGapWeight * (std::abs(gap - cell.gap_mean) - cell.gap_deviation);
      cell.gap_mean += kGapWeight * (gap - cell.gap_mean);
    }
  }
  cell.requests = static_cast<float>(Decayed(cell.requests, at - cell.requested_at) + 1);
  cell.requested_at = at;
}

uint32_t KeyActivity::OnHit(uint64_t hash, absl::Duration now) {
  absl::MutexLock lock(&LockOf(hash));
  Cell& cell = Claim(hash);
  CountRequest(cell, now);
  cell.misses = 0;
  AddOne(cell.hits);
  return cell.hits;
}

void KeyActivity::OnMiss(uint64_t hash, absl::Duration now) {
  absl::MutexLock lock(&LockOf(hash));
  Cell& cell = Claim(hash);
  CountRequest(cell, now);
  AddOne(cell.misses);
}

void KeyActivity::OnUpdate(uint64_t hash, absl::Duration now) {
  absl::MutexLock lock(&LockOf(hash));
  Cell& cell = Claim(hash);
  const double at = Seconds(now);
  cell.updates = static_cast<float>(Decayed(cell.updates, at - cell.updated_at) + 1);
  cell.updated_at = at;
}

void KeyActivity::OnPlaced(uint64_t hash, absl::Duration stored_until) {
  absl::MutexLock lock(&LockOf(hash));
  Cell& cell = Claim(hash);
  cell.misses = 0;
  cell.hits = 0;
  cell.was_placed = true;
  cell.stored_until = static_cast<uint32_t>(
      std::clamp(Seconds(stored_until), 0.0, double{std::numeric_limits<uint32_t>::max()}));
}

KeyFacts KeyActivity::Look(uint64_t hash, absl::Duration now) const {
  KeyFacts facts;
  absl::MutexLock lock(&LockOf(hash));
  const Cell* cell = Find(hash);
  if (cell == nullptr) return facts;
  const double at = Seconds(now);
  facts.requests_24h = Decayed(cell->requests, at - cell->requested_at);
  facts.updates_24h = Decayed(cell->updates, at - cell->updated_at);
  if (cell->gap_mean > 0) {
    facts.access_variance = double{cell->gap_deviation} / cell->gap_mean;
    facts.requests_per_minute = 60 / std::max(double{cell->gap_mean}, at - cell->requested_at);
  }
  facts.misses = cell->misses;
  if (cell->was_placed) {
    facts.hits = cell->hits;
    facts.stored_until = absl::Seconds(cell->stored_until);
  }
  return facts;
}

bool KeyActivity::TryRefresh(uint64_t hash, absl::Duration now, absl::Duration interval) {
  absl::MutexLock lock(&LockOf(hash));
  Cell& cell = Claim(hash);
  const uint32_t at = Milliseconds(now);
  if (cell.refreshed_ms != 0 && at - cell.refreshed_ms < Milliseconds(interval)) return false;
  cell.refreshed_ms = at | 1;
  return true;
}

}  // namespace meridian
