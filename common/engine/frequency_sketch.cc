#include "common/engine/frequency_sketch.h"

#include <algorithm>
#include <bit>

namespace meridian {
namespace {

constexpr size_t kEntriesPerBlock = 8;
constexpr size_t kPeriodPerEntry = 10;
constexpr uint64_t kMaxCount = 15;
constexpr uint64_t kOddBits = 0x1111111111111111;
constexpr uint64_t kHalfMask = 0x7777777777777777;

// The table and the choice of a shard use bits of the hash as they are; these two mix them.
uint32_t BlockHash(uint32_t hash) {
  hash ^= hash >> 17;
  hash *= 0xED5AD4BB;
  hash ^= hash >> 11;
  hash *= 0xAC4C1B51;
  return hash ^ (hash >> 15);
}

uint32_t CounterHash(uint32_t block_hash) {
  block_hash *= 0x31848BAB;
  return block_hash ^ (block_hash >> 14);
}

}  // namespace

void FrequencySketch::Grow(size_t entries) {
  entries_ = std::max({entries_, entries, size_t{1}});
  period_ = entries_ * kPeriodPerEntry;
  const size_t wanted = std::bit_ceil((entries_ + kEntriesPerBlock - 1) / kEntriesPerBlock);
  // A hash's block is its low bits: each copy of the old blocks holds what it held.
  if (blocks_.empty()) blocks_.resize(wanted);
  while (blocks_.size() < wanted) {
    const size_t size = blocks_.size();
    blocks_.resize(size * 2);
    std::copy_n(blocks_.begin(), size, blocks_.begin() + static_cast<std::ptrdiff_t>(size));
  }
}

FrequencySketch::Place FrequencySketch::PlaceOf(uint32_t counter_hash, int depth) {
  const uint32_t part = counter_hash >> (depth * 8);
  return {.word = (part & 1) + static_cast<size_t>(depth) * 2,
          .shift = static_cast<int>((part >> 1) & 15) * 4};
}

void FrequencySketch::Count(uint32_t hash) {
  const uint32_t block_hash = BlockHash(hash);
  const uint32_t counter_hash = CounterHash(block_hash);
  Block& block = blocks_[block_hash & (blocks_.size() - 1)];
  bool counted = false;
  for (int depth = 0; depth < kDepth; ++depth) {
    const Place place = PlaceOf(counter_hash, depth);
    uint64_t& word = block.words[place.word];
    if (((word >> place.shift) & kMaxCount) == kMaxCount) continue;
    word += uint64_t{1} << place.shift;
    counted = true;
  }
  if (counted && ++counts_ >= period_) Age();
}

int FrequencySketch::Estimate(uint32_t hash) const {
  const uint32_t block_hash = BlockHash(hash);
  const uint32_t counter_hash = CounterHash(block_hash);
  const Block& block = blocks_[block_hash & (blocks_.size() - 1)];
  uint64_t least = kMaxCount;
  for (int depth = 0; depth < kDepth; ++depth) {
    const Place place = PlaceOf(counter_hash, depth);
    least = std::min(least, (block.words[place.word] >> place.shift) & kMaxCount);
  }
  return static_cast<int>(least);
}

void FrequencySketch::Age() {
  size_t odd = 0;  // Each loses half a count more than its half.
  for (Block& block : blocks_) {
    for (uint64_t& word : block.words) {
      odd += static_cast<size_t>(std::popcount(word & kOddBits));
      word = (word >> 1) & kHalfMask;
    }
  }
  counts_ = (counts_ - std::min(counts_, odd / kDepth)) / 2;
}

}  // namespace meridian
