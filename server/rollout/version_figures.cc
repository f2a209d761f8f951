#include "server/rollout/version_figures.h"

#include <algorithm>

namespace meridian {
namespace {

uint64_t Less(uint64_t now, uint64_t before) { return now - std::min(now, before); }

}  // namespace

VersionReads& VersionReads::operator+=(const VersionReads& other) {
  hits += other.hits;
  misses += other.misses;
  errors += other.errors;
  latency.resize(std::max(latency.size(), other.latency.size()));
  for (size_t i = 0; i < other.latency.size(); ++i) latency[i] += other.latency[i];
  return *this;
}

VersionReads VersionReads::Since(const VersionReads& before) const {
  VersionReads since;
  since.hits = Less(hits, before.hits);
  since.misses = Less(misses, before.misses);
  since.errors = Less(errors, before.errors);
  since.latency = latency;
  for (size_t i = 0; i < std::min(latency.size(), before.latency.size()); ++i) {
    since.latency[i] = Less(latency[i], before.latency[i]);
  }
  return since;
}

}  // namespace meridian
