// RegionCuts knows to which regions this one does not send, because an operator wants it so
// (`meridianctl region cut`). The list is in the regional store, where every node of the region
// reads it once a second: a cut survives nodes, and a new node begins with it.
//
// Promise: nobody hears of a region before the store was read once, so that a node that starts
//   sends nothing to a region that is cut. While the store is away, what was known stays in force.
//   A store that comes back empty has forgotten the cuts: replication resumes.
// Cost: one read of a small record a second for each other region.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_
#define MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct RegionCut {
  absl::Time since;
  std::string reason;  // The operator's words.
};

class RegionCuts {
 public:
  // Told for every region after the first read, and then whenever something has changed; nullopt:
  // the region is not cut.
  using Changed =
      std::function<void(const std::string& region, const std::optional<RegionCut>& cut)>;
  using Done = std::function<void(absl::Status)>;

  static constexpr absl::Duration kInterval = absl::Seconds(1);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);

  // References outlive this.
  RegionCuts(std::string own_region, std::vector<std::string> others, L2Store& own,
             HybridClock& versions, TaskGate gate, const Clock& clock, Changed changed);

  void Start();
  bool IsCut(const std::string& region) const { return cuts_.count(region) > 0; }

  // Stores the operator's will. `done` is called when the store has it and this node obeys; the
  // other nodes do so within kInterval, or as soon as they reach the store. A failure may still
  // have been stored. REQUIRES: `region` is one of the others.
  void Set(const std::string& region, bool cut, std::string reason, Done done);

 private:
  struct Change;

  L2Key KeyOf(const std::string& region) const;
  void Read();
  void Take(uint64_t changes, const std::vector<L2Record>& records);
  void Store(std::shared_ptr<Change> change);
  void Obey(const std::string& region, std::optional<RegionCut> cut);
  absl::Time Deadline() const { return clock_.Now() + kTimeout; }

  const std::string own_region_;
  const std::vector<std::string> others_;
  L2Store& own_;
  HybridClock& versions_;
  const TaskGate gate_;
  const Clock& clock_;
  const Changed changed_;

  bool known_ = false;                     // The store was read.
  uint64_t changes_ = 0;                   // By Set: a read that began before the last is void.
  std::map<std::string, RegionCut> cuts_;  // Those that are cut.
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_
