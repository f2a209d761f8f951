// What a region's nodes have counted of their reads, by namespace and version of the policies: what
// the guards of a rollout look at.
//
// Thread safety: values.

#ifndef MERIDIAN_SERVER_ROLLOUT_VERSION_FIGURES_H_
#define MERIDIAN_SERVER_ROLLOUT_VERSION_FIGURES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meridian {

// Counts of reads. Those of an interval are the difference of two.
struct VersionReads {
  uint64_t hits = 0;
  uint64_t misses = 0;
  uint64_t errors = 0;
  std::vector<uint64_t> latency;  // As VersionFigures::latency_bounds; zeros at the end may lack.

  uint64_t reads() const { return hits + misses + errors; }
  VersionReads& operator+=(const VersionReads& other);
  // Of what was counted since `before`. What has become less counts as nothing.
  VersionReads Since(const VersionReads& before) const;
};

struct VersionFigures {
  // By namespace and version of the policies.
  using Table = std::map<std::pair<std::string, uint64_t>, VersionReads>;

  // Upper bounds of VersionReads::latency in seconds, ascending; one more count is of what took
  // longer.
  std::vector<double> latency_bounds;
  Table table;
  bool complete = true;  // False: a node has not told its own of late.

  VersionReads Of(const std::string& name_space, uint64_t version) const {
    const auto it = table.find({name_space, version});
    return it == table.end() ? VersionReads() : it->second;
  }
  // Whether reads of the namespace were ever counted, under any version.
  bool Knows(const std::string& name_space) const {
    const auto it = table.lower_bound({name_space, 0});
    return it != table.end() && it->first.first == name_space;
  }
};

// Asks for the sum over all nodes. Cumulative: what a node that restarted or left has counted stays
// in it. nullopt: not known now. Called on the coordinator's executor.
using FigureSource = std::function<std::optional<VersionFigures>()>;

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_VERSION_FIGURES_H_
