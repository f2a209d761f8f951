// Counts of reads between the figures of nodes (AdminService.GetFigures) and what is computed with.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_FIGURES_FIGURES_PROTO_H_
#define MERIDIAN_SERVER_FIGURES_FIGURES_PROTO_H_

#include <vector>

#include "common/telemetry/histogram.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/node/read_figures.h"

namespace meridian {

void ToProto(const HistogramSnapshot& snapshot, admin::v1::Latencies* proto);
// The tiers, the counts by tier and the errors.
void ToProto(const ReadCounts& counts, admin::v1::NamespaceFigures* proto);

// In the buckets of `own`, whatever `bounds` the counts are told with. Exact when each of `own` is
// among them, as those of LatencyBounds() are among FineLatencyBounds(), which nodes tell. Of a
// node of another release with other bounds counts and sums are exact, and what is between two
// bounds is told as at the next larger one of ours: percentiles may be a bucket too high, never too
// low. What has more counts than there are bounds counts as beyond all.
HistogramSnapshot FromProto(const admin::v1::Latencies& proto, const std::vector<double>& bounds,
                            const std::vector<double>& own = LatencyBounds());
// In the buckets of LatencyBounds().
ReadCounts FromProto(const admin::v1::NamespaceFigures& proto, const std::vector<double>& bounds);

// GetFiguresResponse.latency_bounds; LatencyBounds() when it has none.
std::vector<double> BoundsOf(const admin::v1::GetFiguresResponse& figures);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_FIGURES_PROTO_H_
