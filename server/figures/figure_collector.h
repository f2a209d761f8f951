// FigureCollector asks every member of a region once a second what it counts, while its coordinator
// leads, and keeps RegionFigures.
//
// Promise: no thread waits; of one node one call at most is under way, with a deadline of 1 s; who
//   does not answer holds up nobody.
// Cost: a call of some KiB a node and second.
// Thread safety: everything, the observer too, runs on the executor. REQUIRES: the executor is
//   stopped before this is destroyed; the transport outlives the executor's stop no longer than
//   this.

#ifndef MERIDIAN_SERVER_FIGURES_FIGURE_COLLECTOR_H_
#define MERIDIAN_SERVER_FIGURES_FIGURE_COLLECTOR_H_

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/figures/figure_transport.h"
#include "server/figures/region_figures.h"

namespace meridian {

struct FigureCollectorOptions {
  absl::Duration interval = absl::Seconds(1);
  absl::Duration timeout = absl::Seconds(1);  // Of one call.
};

class FigureCollector {
 public:
  // The members of the region; empty, and `*leading` false, while another coordinator leads.
  using Members = std::function<std::vector<FollowedNode>(bool* leading)>;
  // Called after each second, of a standby, too.
  using Observer = std::function<void()>;

  // Nothing is owned; all outlives this.
  FigureCollector(FigureCollectorOptions options, const Clock& clock, Executor& executor,
                  FigureTransport& transport, Members members);

  // Any thread, once.
  void Start();
  // REQUIRES: before Start.
  void AddObserver(Observer observer) { observers_.push_back(std::move(observer)); }

  // See RegionFigures::Miss. On the executor, when the coordinator has begun to lead.
  void Miss(const std::string& id, absl::Duration since) { figures_.Miss(id, since); }
  // See RegionFigures::Leave. On the executor.
  void Leave(const std::string& id) { figures_.Leave(id); }

  // See RegionFigures::RefuseClock. On the executor.
  void RefuseClock(const std::string& id, std::string problem) {
    if (leading_) figures_.RefuseClock(id, std::move(problem), clock_.Monotonic());
  }

  bool leading() const { return leading_; }
  const RegionFigures& figures() const { return figures_; }

 private:
  void Tick();
  void Ask(const FollowedNode& node);

  const FigureCollectorOptions options_;
  const Clock& clock_;
  Executor& executor_;
  FigureTransport& transport_;
  const Members members_;
  std::vector<Observer> observers_;
  RegionFigures figures_;
  bool leading_ = false;
  std::set<std::string> asked_;  // Nodes with a call under way.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_FIGURE_COLLECTOR_H_
