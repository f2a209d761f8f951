// AlertKeeper looks after each second of a FigureCollector what is wrong in the region: of a leader
// by its figures, of any other coordinator by the little that it knows.
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
  // Nothing is owned; all outlives this. `warming` and `standby`: may be empty.
  AlertKeeper(FigureCollector& collector, const Clock& clock, std::function<WarmCounts()> warming,
              std::function<StandbyView()> standby)
      : collector_(collector),
        clock_(clock),
        warming_(std::move(warming)),
        standby_(std::move(standby)) {
    collector_.AddObserver([this] { Look(); });
  }

  AlertBook& book() { return book_; }
  const AlertBook& book() const { return book_; }

 private:
  void Look() {
    const absl::Duration now = clock_.Monotonic();
    const absl::Time wall = clock_.Now();
    if (std::exchange(led_, collector_.leading()) && !led_) {
      book_.Clear();  // They are the next leader's.
      warm_history_ = {};
    }
    if (led_) {
      if (warming_ != nullptr) warm_history_.Add(warming_(), now);
      book_.Update(Conditions(collector_.figures(), warm_history_, now, wall), now, wall);
    } else if (standby_ != nullptr) {
      book_.Update(StandbyConditions(standby_()), now, wall);
    }
  }

  FigureCollector& collector_;
  const Clock& clock_;
  const std::function<WarmCounts()> warming_;
  const std::function<StandbyView()> standby_;
  bool led_ = false;
  CountHistory<WarmCounts> warm_history_;
  AlertBook book_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_KEEPER_H_
