// AlertRules says what is wrong in a region now: the rules of requirements 2-14 and 0-21, and those
// of operations. A name that is in k8s/chart/meridian/files/alerts.yaml, too, is the same alert
// with the same bound. Prometheus takes longer windows, and some from other metrics: each has its
// page in docs/runbooks, which says so, and their README who has which.
//
// Thread safety: a pure function of what is passed in.

#ifndef MERIDIAN_SERVER_FIGURES_ALERT_RULES_H_
#define MERIDIAN_SERVER_FIGURES_ALERT_RULES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/figures/alert_book.h"
#include "server/figures/count_history.h"
#include "server/figures/region_figures.h"

namespace meridian {

// Keys that warm jobs of a namespace read, and what became of entries that they brought into
// memory.
struct WarmedKeys {
  uint64_t all = 0;
  uint64_t failed = 0;  // And those that were left at a deadline.
  uint64_t used = 0;    // Entries.
  uint64_t unused = 0;
};

// By namespace; since the coordinator's start, or since it leads.
struct WarmCounts {
  std::map<std::string, WarmedKeys> namespaces;

  WarmCounts& operator-=(const WarmCounts& earlier);
};

// What a coordinator knows of itself; that does not lead, of who does; and that does, of the
// others.
struct CoordinatorView {
  std::string coordinator = {};  // Its id.
  bool knows_leader = false;
  std::string problem = {};        // Why the region's Redis does not answer it; empty: it does.
  std::string clock_problem = {};  // Why it must not lead: its clock is off; empty: it is not.
  // When the first of the certificates that it uses expires.
  absl::Time certificates_end = absl::InfiniteFuture();
  std::vector<std::string> missed = {};  // Coordinators that went without a goodbye: their ids.
};

// Every name that Conditions and StandbyConditions may give, for those who document them.
std::vector<std::string> AlertNames();

// Over how long an alert's condition is looked for in what the leader has counted: a new leader
// knows that much later only whether it holds.
absl::Duration AlertWindow(const std::string& name);

// `warming` may be empty.
std::vector<AlertCondition> Conditions(const RegionFigures& figures,
                                       const CountHistory<WarmCounts>& warming, absl::Duration now,
                                       absl::Time wall);

// Each standby says these for itself; that nobody leads is the same alert of all of them.
std::vector<AlertCondition> StandbyConditions(const CoordinatorView& view);

// Each coordinator says these of itself, whoever leads, and a leader of the others that are missed.
std::vector<AlertCondition> OwnConditions(const CoordinatorView& view, absl::Time wall);

// Of one coordinator, which says it itself: no other goes on with it.
bool IsOfCoordinator(const coordinator::v1::Alert& alert);

// The node that is missed, or nullptr: that is not what the alert is about.
const std::string* MissedNode(const coordinator::v1::Alert& alert);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_RULES_H_
