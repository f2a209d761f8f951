#include "common/engine/engine_stats.h"

#include <numeric>

namespace meridian {

uint64_t EngineCounters::misses() const {
  return std::accumulate(misses_by.begin(), misses_by.end(), uint64_t{0});
}

EngineCounters& EngineCounters::operator+=(const EngineCounters& other) {
  hits += other.hits;
  for (size_t i = 0; i < kMissCauses; ++i) misses_by[i] += other.misses_by[i];
  puts += other.puts;
  fills += other.fills;
  erases += other.erases;
  for (size_t i = 0; i < kEvictionCauses; ++i) evictions[i] += other.evictions[i];
  demotions += other.demotions;
  entries += other.entries;
  bytes += other.bytes;
  return *this;
}

}  // namespace meridian
