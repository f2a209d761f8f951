// ColdStart notices that a cluster has nothing in memory: none of the nodes that serve has served
// for a while. Then, once, what the configuration says is wanted first should be warmed.
//
// A node is known when it was there at the last start, or has served for kKnownAfter beside one
//   that is known; by its incarnation: one that restarted is new. As long as a known one serves the
//   cluster is not cold, so that a rolling restart, a join or a change of leader starts nothing.
// A pure state machine: time (monotonic) is a parameter. What is known is kept by the caller and
// given to the next leader. No thread safety of its own.

#ifndef MERIDIAN_SERVER_WARMING_COLD_START_H_
#define MERIDIAN_SERVER_WARMING_COLD_START_H_

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace meridian {

class ColdStart {
 public:
  using Nodes = std::set<std::string>;  // "id/incarnation".
  static constexpr absl::Duration kKnownAfter = absl::Seconds(5);

  // `settle`: so long the nodes must have been the same, so that the keys find their last owners.
  explicit ColdStart(absl::Duration settle) : settle_(settle) {}

  // What the last leader knew. The nodes that serve are looked at anew.
  void Restore(Nodes known) {
    known_ = std::move(known);
    serving_.clear();
  }
  const Nodes& known() const { return known_; }

  // The nodes that serve now.
  void SetServing(const Nodes& nodes, absl::Duration now) {
    std::map<std::string, absl::Duration> serving;
    for (const std::string& node : nodes) {
      const auto before = serving_.find(node);
      serving[node] = before == serving_.end() ? now : before->second;
    }
    if (serving.size() != serving_.size() ||
        !std::equal(serving.begin(), serving.end(), serving_.begin())) {
      changed_at_ = now;
    }
    serving_ = std::move(serving);
  }

  // Nothing that serves is known, and this has been so for `settle`.
  bool IsCold(absl::Duration now) const {
    return !serving_.empty() && !AnyKnown() && now - changed_at_ >= settle_;
  }
  // All that serve are known from now on: the cluster was cold, and is being warmed.
  void Started() {
    known_.clear();
    for (const auto& [node, since] : serving_) known_.insert(node);
  }

  // Knows who has served for a while, beside one that is known, and forgets who does not serve;
  // true when that is another set than before, to be kept.
  bool Learn(absl::Duration now) {
    if (!AnyKnown()) return false;
    Nodes next;
    for (const auto& [node, since] : serving_) {
      if (known_.count(node) > 0 || now - since >= kKnownAfter) next.insert(node);
    }
    const bool changed = next != known_;
    known_ = std::move(next);
    return changed;
  }

 private:
  bool AnyKnown() const {
    return std::any_of(serving_.begin(), serving_.end(),
                       [this](const auto& node) { return known_.count(node.first) > 0; });
  }

  const absl::Duration settle_;
  Nodes known_;
  std::map<std::string, absl::Duration> serving_;  // Since when.
  absl::Duration changed_at_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_COLD_START_H_
