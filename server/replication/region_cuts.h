// RegionCuts knows to which regions this one does not send, because an operator wants it so
// (`meridianctl region cut`). The list is in the regional store, where every node of the region
// reads it once a second: a cut survives nodes, and a new node begins with it.
//
// Promise: nobody hears of a region before its record was read once, so that a node that starts
//   sends nothing to a region that is cut; the records of others do not matter, whose slots may be
//   on a server that is away. While the store is away, what was known stays in force.
//   Only an operator heals: orders, cuts and heals alike, are stored without an end, and one that
//   the store lacks, or has an older one instead of (it came back empty, failed over, evicted it),
//   is stored again by whoever knows it, with its version, so that the newest order wins whoever is
//   late. Forgotten is only what no running node knows either.
// Cost: one read of a small record a second for each other region; a few bytes in the store for
//   each region that was ever cut.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_
#define MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
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

// Where the store of `from` says whether it sends to `to`, and what is stored there: a value, as
// long as it does not.
L2Key CutOrderKey(std::string_view from, std::string_view to);
bool IsCutOrder(const L2Record& stored);

class RegionCuts {
 public:
  // Told for every region after its record was first read, and then whenever something has
  // changed; nullopt: the region is not cut.
  using Changed =
      std::function<void(const std::string& region, const std::optional<RegionCut>& cut)>;
  using Done = std::function<void(absl::Status)>;

  static constexpr absl::Duration kInterval = absl::Seconds(1);
  static constexpr absl::Duration kTimeout = absl::Seconds(2);

  // References outlive this.
  RegionCuts(std::string own_region, std::vector<std::string> others, L2Store& own,
             HybridClock& versions, TaskGate gate, const Clock& clock, Changed changed);

  void Start();
  bool IsCut(const std::string& region) const { return CutOf(region).has_value(); }

  // Stores the operator's will. `done` is called when the store has it and this node obeys; the
  // other nodes do so within kInterval, or as soon as they reach the store. A failure may still
  // have been stored. REQUIRES: `region` is one of the others.
  void Set(const std::string& region, bool cut, std::string reason, Done done);

 private:
  struct Change;
  // The newest that is known of a region.
  struct Order {
    Version version;  // Not set: nobody ever ordered anything.
    bool cut = false;
    std::string reason;
  };

  L2Key KeyOf(const std::string& region) const { return CutOrderKey(own_region_, region); }
  void Read();
  void Take(const std::vector<L2Record>& records);
  void TakeOne(const std::string& region, const L2Record& stored_record);
  void Store(std::shared_ptr<Change> change);
  void StoreAgain(const std::string& region, const Order& order);
  L2Write WriteOf(const std::string& region, const Order& order) const;
  void Obey(const std::string& region, Order order);
  std::optional<RegionCut> CutOf(const std::string& region) const;
  absl::Time Deadline() const { return clock_.Now() + kTimeout; }

  const std::string own_region_;
  const std::vector<std::string> others_;
  L2Store& own_;
  HybridClock& versions_;
  const TaskGate gate_;
  const Clock& clock_;
  const Changed changed_;

  std::set<std::string> known_;          // Regions whose record was read.
  std::map<std::string, Order> orders_;  // By region.
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_REGION_CUTS_H_
