#include "server/figures/figures_proto.h"

#include <algorithm>

namespace meridian {

void ToProto(const HistogramSnapshot& snapshot, admin::v1::Latencies* proto) {
  proto->set_seconds(snapshot.sum);
  size_t used = snapshot.counts.size();
  while (used > 0 && snapshot.counts[used - 1] == 0) --used;
  for (size_t i = 0; i < used; ++i) proto->add_counts(snapshot.counts[i]);
}

void ToProto(const ReadCounts& counts, admin::v1::NamespaceFigures* proto) {
  proto->set_l1_hits(counts.l1.count());
  proto->set_l2_hits(counts.l2.count());
  proto->set_misses(counts.miss.count());
  proto->set_errors(counts.errors);
  ToProto(counts.l1, proto->mutable_l1_latency());
  ToProto(counts.l2, proto->mutable_l2_latency());
  ToProto(counts.miss, proto->mutable_miss_latency());
}

HistogramSnapshot FromProto(const admin::v1::Latencies& proto, const std::vector<double>& bounds,
                            const std::vector<double>& own) {
  HistogramSnapshot snapshot;
  snapshot.bounds = own;
  snapshot.counts.resize(own.size() + 1);
  for (int i = 0; i < proto.counts_size(); ++i) {
    if (proto.counts(i) == 0) continue;
    size_t bucket = own.size();
    if (static_cast<size_t>(i) < bounds.size()) {
      bucket =
          static_cast<size_t>(std::lower_bound(own.begin(), own.end(), bounds[i]) - own.begin());
    }
    snapshot.counts[bucket] += proto.counts(i);
  }
  snapshot.sum = std::max(0.0, proto.seconds());
  return snapshot;
}

ReadCounts FromProto(const admin::v1::NamespaceFigures& proto, const std::vector<double>& bounds) {
  ReadCounts counts;
  counts.l1 = FromProto(proto.l1_latency(), bounds);
  counts.l2 = FromProto(proto.l2_latency(), bounds);
  counts.miss = FromProto(proto.miss_latency(), bounds);
  counts.errors = proto.errors();
  return counts;
}

std::vector<double> BoundsOf(const admin::v1::GetFiguresResponse& figures) {
  if (figures.latency_bounds().empty()) return LatencyBounds();
  return {figures.latency_bounds().begin(), figures.latency_bounds().end()};
}

}  // namespace meridian
