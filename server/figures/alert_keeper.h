// AlertKeeper looks after each second of a FigureCollector what is wrong in the region.
//
// Thread safety: on the collector's executor; made before it starts.

#ifndef MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_
#define MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_

#include <functional>
#include <utility>

#include "common/base/clock.h"
#include "server/figures/alert_book.h"
#include "server/figures/alert_rules.h"
#include "server/figures/figure_collector.h"

namespace meridian {

class AlertKeeper {
 public:
  // Nothing is owned; all outlives this. `warming`: may be empty.
  AlertKeeper(FigureCollector& collector, const Clock& clock, std::function<WarmCounts()> warming)
      : collector_(collector), clock_(clock), warming_(std::move(warming)) {
    collector_.AddObserver([this] { Look(); });
  }

  AlertBook& book() { return book_; }
  const AlertBook& book() const { return book_; }

 private:
  void Look() {
    if (!collector_.leading()) {
      book_.Clear();
      warm_history_ = {};
      return;
    }
    const absl::Duration now = clock_.Monotonic();
    if (warming_ != nullptr) warm_history_.Add(warming_(), now);
    book_.Update(Conditions(collector_.figures(), warm_history_, now, clock_.Now()), now,
                 clock_.Now());
  }

  FigureCollector& collector_;
  const Clock& clock_;
  const std::function<WarmCounts()> warming_;
  CountHistory<WarmCounts> warm_history_;
  AlertBook book_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_
