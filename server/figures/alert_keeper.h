// AlertKeeper looks after each second of a FigureCollector what is wrong in the region: of a leader
// by its figures, of any other coordinator by the little that it knows.
//
// Thread safety: on the collector's executor; made before it starts.

#ifndef MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_
#define MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/rpc/timestamp.h"
#include "server/figures/alert_book.h"
#include "server/figures/alert_rules.h"
#include "server/figures/figure_collector.h"

namespace meridian {

class AlertKeeper {
 public:
  // Nothing is owned; all outlives this. `warming` and `own`: may be empty.
  AlertKeeper(FigureCollector& collector, const Clock& clock, std::function<WarmCounts()> warming,
              std::function<CoordinatorView()> own)
      : collector_(collector), clock_(clock), warming_(std::move(warming)), own_(std::move(own)) {
    collector_.AddObserver([this] { Look(); });
  }

  AlertBook& book() { return book_; }
  const AlertBook& book() const { return book_; }

  // Goes on with what the last leader had: its alerts, and the nodes that it missed, for as long as
  // it would have.
  void Inherit(const std::vector<coordinator::v1::Alert>& alerts) {
    const absl::Duration now = clock_.Monotonic();
    const absl::Time wall = clock_.Now();
    for (const coordinator::v1::Alert& alert : alerts) {
      const std::string* const node = MissedNode(alert);
      if (node == nullptr) continue;
      const absl::Duration ago = wall - FromProto(alert.since());
      collector_.Miss(*node, now - std::clamp(ago, absl::ZeroDuration(), RegionFigures::kKept));
    }
    book_.Restore(alerts, now, wall, AlertWindow);
  }

  // See RegionFigures::Leave.
  void Leave(const std::string& id) { collector_.Leave(id); }
  // See RegionFigures::RefuseClock.
  void RefuseClock(const std::string& id, std::string problem) {
    collector_.RefuseClock(id, std::move(problem));
  }

 private:
  void Look() {
    const absl::Duration now = clock_.Monotonic();
    const absl::Time wall = clock_.Now();
    if (std::exchange(led_, collector_.leading()) && !led_) {
      book_.KeepOnly(IsOfCoordinator);  // The others are the next leader's.
      warm_history_ = {};
    }
    const CoordinatorView own = own_ == nullptr ? CoordinatorView{.knows_leader = true} : own_();
    std::vector<AlertCondition> conditions;
    if (led_) {
      if (warming_ != nullptr) warm_history_.Add(warming_(), now);
      conditions = Conditions(collector_.figures(), warm_history_, now, wall);
    } else {
      conditions = StandbyConditions(own);
    }
    for (AlertCondition& condition : OwnConditions(own, wall)) {
      conditions.push_back(std::move(condition));
    }
    book_.Update(conditions, now, wall);
  }

  FigureCollector& collector_;
  const Clock& clock_;
  const std::function<WarmCounts()> warming_;
  const std::function<CoordinatorView()> own_;
  bool led_ = false;
  CountHistory<WarmCounts> warm_history_;
  AlertBook book_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_
