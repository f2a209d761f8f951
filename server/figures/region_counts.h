// Counts of a node or of all nodes of a region, and sums that survive their restarts.
//
// Thread safety: values.

#ifndef MERIDIAN_SERVER_FIGURES_REGION_COUNTS_H_
#define MERIDIAN_SERVER_FIGURES_REGION_COUNTS_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "common/telemetry/histogram.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/node/read_figures.h"

namespace meridian {

// 0 of nothing.
inline double Share(uint64_t part, uint64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

// Of one node, or the sum over nodes; since some beginning.
struct NodeCounts {
  ReadCounts reads;
  HistogramSnapshot call_latency;
  uint64_t calls = 0;
  uint64_t failed_calls = 0;
  uint64_t origin_keys = 0;
  uint64_t evictions = 0;  // For room.
  double cpu_seconds = 0;

  NodeCounts& operator+=(const NodeCounts& other);
  NodeCounts& operator-=(const NodeCounts& earlier);
};

// What nodes count of a namespace beside its reads.
struct NamespaceCounts {
  uint64_t evictions = 0;
  uint64_t sets = 0;
  uint64_t invalidations = 0;

  NamespaceCounts& operator+=(const NamespaceCounts& other);
  NamespaceCounts& operator-=(const NamespaceCounts& earlier);
};

struct RegionCounts {
  // Namespace and version of the policies -> reads.
  using Reads = std::map<std::pair<std::string, uint64_t>, ReadCounts>;
  // Instead of a version: the sum of those that were forgotten.
  static constexpr uint64_t kForgotten = UINT64_MAX;

  NodeCounts all;
  Reads reads;
  std::map<std::string, NamespaceCounts> namespaces;
  // By region, keys that a repair found it to lack, and sent.
  std::map<std::string, uint64_t> repaired;
  // By region, changes that it was not sent because they are malformed or refused.
  std::map<std::string, uint64_t> dropped;
  uint64_t staleness_incidents = 0;

  // Those that there are reads of.
  std::set<std::string> Names() const;
  // Of a namespace under all versions.
  ReadCounts ReadsOf(const std::string& name_space) const;

  // A version that nobody uses any more gets no more reads: its row goes, its reads stay in the
  // sums.
  void Forget(const Reads::key_type& version);

  RegionCounts& operator+=(const RegionCounts& other);
  RegionCounts& operator-=(const RegionCounts& earlier);
};

// What was read of a namespace from `earlier` to `now`, two values of the same sum.
ReadCounts ReadsSince(const RegionCounts& earlier, const RegionCounts& now,
                      const std::string& name_space);

// What a node has counted since its start.
RegionCounts CountsOf(const admin::v1::GetFiguresResponse& figures);

// What it counted from `earlier` to `now`, two answers of the same node; when it was started anew
// in between, what it has counted since.
RegionCounts Growth(const admin::v1::GetFiguresResponse& earlier,
                    const admin::v1::GetFiguresResponse& now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_REGION_COUNTS_H_
