// ReadTimes: how long the reads of a region took, by namespace and version of the policies, of all
// tiers together, in the buckets of FineLatencyBounds(). What RegionCounts::reads has is enough for
// everything but the guards of a rollout, and is kept often; this is kept once.
//
// Cost: about 2 KiB a namespace and version. Thread safety: none.

#ifndef MERIDIAN_SERVER_FIGURES_READ_TIMES_H_
#define MERIDIAN_SERVER_FIGURES_READ_TIMES_H_

#include <cstdint>
#include <map>
#include <vector>

#include "meridian/admin/v1/admin_service.pb.h"
#include "server/figures/region_counts.h"

namespace meridian {

class ReadTimes {
 public:
  using Key = RegionCounts::Reads::key_type;

  // Adds what a node counted from `earlier` to `now`, as Growth does.
  void Take(const admin::v1::GetFiguresResponse& earlier, const admin::v1::GetFiguresResponse& now);
  void Forget(const Key& version) { times_.erase(version); }

  // One more than there are bounds.
  std::vector<uint64_t> Of(const Key& version) const;

 private:
  std::map<Key, std::vector<uint64_t>> times_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_READ_TIMES_H_
