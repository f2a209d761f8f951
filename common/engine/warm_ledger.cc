#include "common/engine/warm_ledger.h"

#include <algorithm>
#include <bit>

namespace meridian {
namespace {

// A cell: 32 bits of fingerprint, 28 of time, 4 of source.
constexpr int kTimeBits = 28;
constexpr int kSourceBits = 4;
constexpr uint32_t kTimeMask = (uint32_t{1} << kTimeBits) - 1;

uint32_t FingerprintOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 20); }
uint64_t CellOf(uint64_t hash, WarmSourceId source, uint32_t seconds) {
  return uint64_t{FingerprintOf(hash)} << (kTimeBits + kSourceBits) |
         uint64_t{seconds & kTimeMask} << kSourceBits | source;
}
uint32_t SecondsOf(uint64_t cell) { return static_cast<uint32_t>(cell >> kSourceBits) & kTimeMask; }
WarmSourceId SourceOf(uint64_t cell) {
  return static_cast<WarmSourceId>(cell & ((1u << kSourceBits) - 1));
}
uint32_t SecondsOf(int64_t now_ns) {
  return static_cast<uint32_t>(now_ns / 1'000'000'000) & kTimeMask;
}

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

void WarmLedger::Cells::Put(uint64_t hash, WarmSourceId source, uint32_t seconds,
                            bool over_oldest) {
  Set& set = SetOf(hash);
  uint64_t* place = nullptr;
  for (uint64_t& cell : set.cells) {
    if (cell == 0 || cell >> (kTimeBits + kSourceBits) == FingerprintOf(hash)) {
      place = &cell;
      break;
    }
    // The time of a victim grows; what wraps every eight years is a victim less.
    if (over_oldest && (place == nullptr || SecondsOf(cell) < SecondsOf(*place))) place = &cell;
  }
  if (place == nullptr) return;
  if (*place == 0) ++used_;
  *place = CellOf(hash, source, seconds);
}

WarmSourceId WarmLedger::Cells::Take(uint64_t hash, uint32_t* seconds) {
  for (uint64_t& cell : SetOf(hash).cells) {
    if (cell == 0 || cell >> (kTimeBits + kSourceBits) != FingerprintOf(hash)) continue;
    const WarmSourceId source = SourceOf(cell);
    if (seconds != nullptr) *seconds = SecondsOf(cell);
    cell = 0;
    --used_;
    return source;
  }
  return 0;
}

void WarmLedger::Mark(uint64_t hash, WarmSourceId source) {
  marks_.Put(hash, source, 0, /*over_oldest=*/false);
}

void WarmLedger::AddVictim(uint64_t hash, WarmSourceId source, int64_t now_ns) {
  victims_.Put(hash, source, SecondsOf(now_ns), /*over_oldest=*/true);
}

WarmSourceId WarmLedger::TakeVictim(uint64_t hash, int64_t now_ns) {
  uint32_t then = 0;
  const WarmSourceId source = victims_.Take(hash, &then);
  const uint32_t age = (SecondsOf(now_ns) - then) & kTimeMask;
  return source != 0 && age <= kSoonSeconds ? source : 0;
}

void WarmLedger::AddTo(Books* books) const {
  for (const auto& [of, counts] : books_) (*books)[of] += counts;
}

}  // namespace meridian
