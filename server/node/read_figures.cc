#include "server/node/read_figures.h"

#include <algorithm>
#include <utility>

namespace meridian {

ReadCounts& ReadCounts::operator+=(const ReadCounts& other) {
  if (!other.l1.counts.empty()) l1 += other.l1;
  if (!other.l2.counts.empty()) l2 += other.l2;
  if (!other.miss.counts.empty()) miss += other.miss;
  errors += other.errors;
  return *this;
}

ReadCounts& ReadCounts::operator-=(const ReadCounts& earlier) {
  l1 -= earlier.l1;
  l2 -= earlier.l2;
  miss -= earlier.miss;
  errors -= std::min(errors, earlier.errors);
  return *this;
}

ReadCounts ReadFigures::Read(const Version& version) {
  ReadCounts counts;
  counts.l1 = version.tiers[static_cast<size_t>(ReadTier::kL1)].Snapshot();
  counts.l2 = version.tiers[static_cast<size_t>(ReadTier::kL2)].Snapshot();
  counts.miss = version.tiers[static_cast<size_t>(ReadTier::kMiss)].Snapshot();
  counts.errors = version.errors.value();
  return counts;
}

size_t ReadFigures::Claim(uint64_t version) {
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < kVersions; ++i) {
    const uint64_t number = versions_[i].number.load(std::memory_order_relaxed);
    if (number == version) return i;
    if (number == kUnused) {
      versions_[i].number.store(version, std::memory_order_release);
      return i;
    }
  }
  std::array<ReadCounts, kVersions> now;
  size_t idlest = 0;
  for (size_t i = 0; i < kVersions; ++i) {
    now[i] = Read(versions_[i]);
    const uint64_t since = now[i].reads() + now[i].errors - seen_[i];
    if (since < now[idlest].reads() + now[idlest].errors - seen_[idlest]) idlest = i;
  }
  before_[idlest] = std::move(now[idlest]);
  versions_[idlest].number.store(version, std::memory_order_release);
  return idlest;
}

std::vector<ReadFigures::OfVersion> ReadFigures::ByVersion() const {
  std::vector<OfVersion> result;
  absl::MutexLock lock(&mu_);
  for (size_t i = 0; i < kVersions; ++i) {
    const uint64_t number = versions_[i].number.load(std::memory_order_relaxed);
    if (number == kUnused) continue;
    result.push_back({number, Read(versions_[i])});
    seen_[i] = result.back().counts.reads() + result.back().counts.errors;
    result.back().counts -= before_[i];
  }
  std::sort(result.begin(), result.end(),
            [](const OfVersion& a, const OfVersion& b) { return a.version < b.version; });
  return result;
}

ReadCounts ReadFigures::Total() const {
  ReadCounts total;
  for (const Version& version : versions_) total += Read(version);
  for (HistogramSnapshot* tier : {&total.l1, &total.l2, &total.miss}) {
    *tier = InBounds(*tier, LatencyBounds());
  }
  return total;
}

}  // namespace meridian
