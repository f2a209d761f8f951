#include "server/figures/read_times.h"

#include <algorithm>
#include <utility>

#include "common/telemetry/fine_latency.h"
#include "server/figures/figures_proto.h"

namespace meridian {
namespace {

uint64_t ReadsOf(const admin::v1::NamespaceFigures& row) {
  return row.l1_hits() + row.l2_hits() + row.misses() + row.errors();
}

std::vector<uint64_t> TimesOf(const admin::v1::NamespaceFigures& row,
                              const std::vector<double>& bounds) {
  HistogramSnapshot sum = FromProto(row.l1_latency(), bounds, FineLatencyBounds());
  sum += FromProto(row.l2_latency(), bounds, FineLatencyBounds());
  sum += FromProto(row.miss_latency(), bounds, FineLatencyBounds());
  return std::move(sum.counts);
}

}  // namespace

void ReadTimes::Take(const admin::v1::GetFiguresResponse& earlier,
                     const admin::v1::GetFiguresResponse& now) {
  std::map<Key, const admin::v1::NamespaceFigures*> before;
  if (earlier.incarnation() == now.incarnation()) {
    for (const auto& row : earlier.namespaces()) {
      before[{row.namespace_(), row.policy_version()}] = &row;
    }
  }
  const std::vector<double> bounds = BoundsOf(now);
  const std::vector<double> old_bounds = BoundsOf(earlier);
  for (const admin::v1::NamespaceFigures& row : now.namespaces()) {
    const Key key = {row.namespace_(), row.policy_version()};
    const auto old = before.find(key);
    const bool known = old != before.end();
    if (known && ReadsOf(*old->second) == ReadsOf(row)) continue;  // Nobody has read.
    std::vector<uint64_t> grown = TimesOf(row, bounds);
    // A version that has come back counts anew from 0.
    if (known && ReadsOf(*old->second) < ReadsOf(row)) {
      const std::vector<uint64_t> counted = TimesOf(*old->second, old_bounds);
      for (size_t i = 0; i < grown.size(); ++i) grown[i] -= std::min(grown[i], counted[i]);
    }
    std::vector<uint64_t>& times = times_[key];
    times.resize(grown.size());
    for (size_t i = 0; i < grown.size(); ++i) times[i] += grown[i];
  }
}

std::vector<uint64_t> ReadTimes::Of(const Key& version) const {
  const auto it = times_.find(version);
  if (it != times_.end()) return it->second;
  return std::vector<uint64_t>(FineLatencyBounds().size() + 1);
}

}  // namespace meridian
