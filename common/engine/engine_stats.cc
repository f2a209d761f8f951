#include "common/engine/engine_stats.h"

namespace meridian {

EngineCounters& EngineCounters::operator+=(const EngineCounters& other) {
  hits += other.hits;
  misses += other.misses;
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
