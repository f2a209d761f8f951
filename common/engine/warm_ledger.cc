#include "common/engine/warm_ledger.h"

#include <algorithm>
#include <bit>

namespace meridian {
namespace {

// A cell: 32 bits of fingerprint, 28 of time, 4 of source. Time is in ticks, and comes round after
// a year.
constexpr int kTimeBits = 28;
constexpr int kSourceBits = 4;
constexpr uint32_t kTimeMask = (uint32_t{1} << kTimeBits) - 1;
constexpr int64_t kTicksASecond = 8;
constexpr int64_t kTickNs = 1'000'000'000 / kTicksASecond;
// What is further away than this is past.
constexpr uint32_t kHalfRound = uint32_t{1} << (kTimeBits - 1);

uint32_t FingerprintOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 20); }
uint64_t CellOf(uint64_t hash, WarmSourceId source, uint32_t ticks) {
  return uint64_t{FingerprintOf(hash)} << (kTimeBits + kSourceBits) |
         uint64_t{ticks & kTimeMask} << kSourceBits | source;
}
uint32_t TicksOf(uint64_t cell) { return static_cast<uint32_t>(cell >> kSourceBits) & kTimeMask; }
WarmSourceId SourceOf(uint64_t cell) {
  return static_cast<WarmSourceId>(cell & ((1u << kSourceBits) - 1));
}
uint32_t TicksAt(int64_t time_ns) { return static_cast<uint32_t>(time_ns / kTickNs) & kTimeMask; }

static_assert(kMaxWarmSources < 1 << kSourceBits);

}  // namespace

WarmedCounts& WarmedCounts::operator+=(const WarmedCounts& other) {
  warmed += other.warmed;
  used += other.used;
  unused += other.unused;
  displaced += other.displaced;
  return *this;
}

WarmLedger::WarmLedger(size_t marks, size_t victims) : marks_(marks), victims_(victims) {}

WarmLedger::Cells::Cells(size_t room)
    : sets_(std::bit_ceil(std::max<size_t>((room + kWays - 1) / kWays, 1))) {}

bool WarmLedger::Cells::Put(uint64_t hash, WarmSourceId source, uint32_t ticks, bool over_oldest) {
  Set& set = SetOf(hash);
  uint64_t* place = nullptr;
  for (uint64_t& cell : set.cells) {
    if (cell == 0 || cell >> (kTimeBits + kSourceBits) == FingerprintOf(hash)) {
      place = &cell;
      break;
    }
    // The time of a victim grows; what wraps every year is a victim less.
    if (over_oldest && (place == nullptr || TicksOf(cell) < TicksOf(*place))) place = &cell;
  }
  if (place == nullptr) return false;
  if (*place == 0) ++used_;
  *place = CellOf(hash, source, ticks);
  return true;
}

uint64_t* WarmLedger::Cells::Find(uint64_t hash) {
  for (uint64_t& cell : SetOf(hash).cells) {
    if (cell != 0 && cell >> (kTimeBits + kSourceBits) == FingerprintOf(hash)) return &cell;
  }
  return nullptr;
}

WarmSourceId WarmLedger::Cells::Take(uint64_t hash, uint32_t* ticks) {
  uint64_t* const cell = Find(hash);
  if (cell == nullptr) return 0;
  const WarmSourceId source = SourceOf(*cell);
  if (ticks != nullptr) *ticks = TicksOf(*cell);
  *cell = 0;
  --used_;
  return source;
}

bool WarmLedger::Mark(uint64_t hash, WarmSourceId source, int64_t due_ns, int64_t now_ns) {
  const int64_t farthest = now_ns + int64_t{kHalfRound - 1} * kTickNs;
  const int64_t due = std::min(due_ns, farthest);
  // 0 is for those that are due at once.
  const uint32_t ticks = due == 0 ? 0 : std::max(TicksAt(due + kTickNs - 1), 1u);
  return marks_.Put(hash, source, ticks, /*over_oldest=*/false);
}

bool WarmLedger::IsDue(uint64_t hash, int64_t now_ns) {
  const uint64_t* const cell = marks_.Find(hash);
  if (cell == nullptr || TicksOf(*cell) == 0) return true;
  return ((TicksAt(now_ns) - TicksOf(*cell)) & kTimeMask) < kHalfRound;
}

void WarmLedger::AddVictim(uint64_t hash, WarmSourceId source, int64_t now_ns) {
  (void)victims_.Put(hash, source, TicksAt(now_ns), /*over_oldest=*/true);
}

WarmSourceId WarmLedger::TakeVictim(uint64_t hash, int64_t now_ns) {
  uint32_t then = 0;
  const WarmSourceId source = victims_.Take(hash, &then);
  const uint32_t age = (TicksAt(now_ns) - then) & kTimeMask;
  return source != 0 && age <= kSoonSeconds * kTicksASecond ? source : 0;
}

void WarmLedger::AddTo(Books* books) const {
  for (const auto& [of, counts] : books_) (*books)[of] += counts;
}

}  // namespace meridian
