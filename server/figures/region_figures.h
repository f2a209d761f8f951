// RegionFigures is what the leading coordinator knows of the nodes of its region and of what they
// count: their last answers, sums that survive restarts, rates, and one point a second of the last
// 15 minutes. A pure state machine: time is passed in, nobody is asked.
//
// Nodes that are no longer members, and have not left properly (Leave), are GONE for kKept: who
// looks wants to see what is missing. A drain may be over between two looks: it is told.
// So are versions of the policies that no node has counted reads of any more: later their reads are
// in the sums only, so that memory does not grow with every rollout.
// Cost: an answer of a node costs O(its namespaces); memory about 1 KiB a namespace and 10 s,
// and 10 KiB a namespace, version and node.
// Thread safety: none; it is used on the coordinator's executor.

#ifndef MERIDIAN_SERVER_FIGURES_REGION_FIGURES_H_
#define MERIDIAN_SERVER_FIGURES_REGION_FIGURES_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/figures/count_history.h"
#include "server/figures/read_times.h"
#include "server/figures/region_counts.h"

namespace meridian {

// A member as the coordinator knows it.
struct FollowedNode {
  Member member;
  absl::Duration heartbeat_age;
  uint64_t epoch = 0;
  double warmth = 0;
};

// One second of the region.
struct SeriesPoint {
  absl::Time at;
  double calls = 0;  // These a second.
  double l1_hits = 0;
  double l2_hits = 0;
  double misses = 0;
  double errors = 0;
  HistogramSnapshot call_latency;
  uint64_t l1_bytes = 0;
  absl::Duration lag;
  size_t nodes_alive = 0;
};

class RegionFigures {
 public:
  static constexpr absl::Duration kKept = absl::Minutes(15);
  static constexpr size_t kMaxPoints = 900;
  static constexpr size_t kMaxGone = 100;
  // A member that has not answered for so long is not alive.
  static constexpr absl::Duration kSilent = absl::Seconds(3);
  // How long a refusal stands when the node is heard of no more.
  static constexpr absl::Duration kRefused = absl::Seconds(10);

  struct Node {
    FollowedNode known;
    bool is_member = true;
    absl::Duration since;                    // Of being a member, or of being gone.
    std::optional<absl::Duration> answered;  // When its last answer came.
    admin::v1::GetFiguresResponse figures;   // Its last answer; empty: none yet.
    std::string problem;                     // Why the last call failed; empty: it did not.
    CountHistory<NodeCounts> history;

    bool IsAlive(absl::Duration now) const {
      return is_member && now - answered.value_or(since) <= kSilent;
    }
  };

  // The members that there are now.
  void SetNodes(std::vector<FollowedNode> nodes, absl::Duration now);
  // What a member answered. Of one that is none any more it is ignored.
  void Take(const std::string& id, admin::v1::GetFiguresResponse figures, absl::Duration now);
  // A member did not answer.
  void Fail(const std::string& id, std::string problem);
  // A node that is missed since `since`, as the last leader told: GONE, unless it is known here.
  void Miss(const std::string& id, absl::Duration since);
  // A node has drained and left: nobody misses it. Before the next SetNodes.
  void Leave(const std::string& id) { nodes_.erase(id); }
  // A node may not register: its clock is off. It tries again every second.
  void RefuseClock(const std::string& id, std::string problem, absl::Duration now);
  // A second is over.
  void Tick(absl::Duration now, absl::Time wall);
  // Forgets everything: somebody else leads.
  void Clear();

  // By id, why nodes were refused for their clocks in the last kRefused.
  std::map<std::string, std::string> RefusedClocks(absl::Duration now) const;

  // By id, those that are gone included.
  const std::map<std::string, Node>& nodes() const { return nodes_; }
  // Of the region, one value a second; empty before the first Tick.
  const CountHistory<RegionCounts>& history() const { return history_; }
  // Since this coordinator leads. It never falls.
  const RegionCounts& counts() const { return counts_; }
  // How long those reads took, in finer buckets.
  const ReadTimes& read_times() const { return read_times_; }
  const std::deque<SeriesPoint>& series() const { return series_; }

  // The last answers of all members that are alive.
  std::vector<admin::v1::GetFiguresResponse> Answers(absl::Duration now) const;
  // To each region, the sum over the nodes; of lags and states the worst.
  std::vector<admin::v1::ReplicationLink> Links(absl::Duration now) const;

 private:
  void Gone(Node* node, absl::Duration now);
  void ForgetVersions(absl::Duration now);

  std::map<std::string, Node> nodes_;
  struct Refusal {
    std::string problem;
    absl::Duration at;
  };
  std::map<std::string, Refusal> refused_;  // By node, at most kMaxGone.
  RegionCounts counts_;
  ReadTimes read_times_;
  // When a node told its reads of a namespace under a version last.
  std::map<RegionCounts::Reads::key_type, absl::Duration> told_;
  CountHistory<RegionCounts> history_;
  std::deque<SeriesPoint> series_;
  absl::Duration last_tick_ = -absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_REGION_FIGURES_H_
