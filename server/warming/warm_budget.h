// WarmBudget says how many keys a second one source of warming may read for one namespace, so that
// warming pays for itself.
//
// What it brought into memory is judged some time later: entries that were hit spared a load,
// those that ended without a hit, or that nobody has asked for within `patience`, were loaded in
//   vain, and victims that were asked for again cost another load. Each time that `verdict` of them
//   are known the budget goes on: net gain, a step up; net loss, down to half (additive increase,
//   multiplicative decrease: Chiu and Jain, "Analysis of the increase and decrease algorithms for
//   congestion avoidance in computer networks", 1989).
// A source is on credit, too: of what it brought, no more may be without an outcome at once than
//   `credit` and what it has gained of late, less what it has lost (as a window of packets on their
//   way, but in loads). So growth is paid for by what was gained before, and what it can lose is
//   bounded, not only how fast. A debt is forgiven slowly: half of it in an hour, and no more than half
//   of what the floor reads. Who is `trusted`, because somebody configured it, is bound by the
//   credit only from the first verdict against it on, and until it has earned its way up to the
//   ceiling again.
// Promise: never above the ceiling, which the configuration gives; never below a floor that goes on
//   probing with `probe_share` of the namespace's requests, so that a source which becomes useful
//   is found out. The gain per load is positive only when more than half of what is decided was
//   used: where the budget grows, precision is above 0.5. On credit, used >= in vain - credit -
//   1.5 times the probes: precision is 0.5 or more wherever much more is spent than that.
// A pure state machine: time (monotonic) is a parameter. No thread safety of its own.

#ifndef MERIDIAN_SERVER_WARMING_WARM_BUDGET_H_
#define MERIDIAN_SERVER_WARMING_WARM_BUDGET_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

#include "absl/time/time.h"

namespace meridian {

// Of one source and namespace, over all nodes, since it began.
struct WarmOutcomes {
  uint64_t warmed = 0;
  uint64_t used = 0;
  uint64_t unused = 0;
  uint64_t displaced = 0;
  // Warmed ones of which nobody will hear any more: their nodes are gone.
  uint64_t lost = 0;

  friend bool operator==(const WarmOutcomes&, const WarmOutcomes&) = default;
};

struct WarmBudgetOptions {
  double ceiling = 1000;  // Keys a second. > 0.
  double first = 1000;    // Before anything is known; the ceiling bounds it.
  double step = 0.05;     // Of the ceiling.
  double verdict = 24;    // Entries with an outcome.
  double probe_share = 0.0005;
  double credit = std::numeric_limits<double>::infinity();  // Entries without an outcome.
  bool trusted = false;                                     // Until a verdict against it.
  double least = 0.0005;  // The floor when there are no requests, or none that are known.
  absl::Duration patience = absl::Minutes(15);
  absl::Duration half_life = absl::Minutes(5);     // Of what it looks at, and of what it gained.
  absl::Duration debt_half_life = absl::Hours(1);  // Of what it lost.
};

class WarmBudget {
 public:
  // What the next leader goes on with.
  struct Memory {
    double rate = 0;    // Keys a second, without what waits for an outcome.
    double gained = 0;  // Loads.
    bool is_trusted = false;

    friend bool operator==(const Memory&, const Memory&) = default;
  };

  WarmBudget(WarmBudgetOptions options, absl::Duration now);

  // `outcomes` so far; `requests` a second of the namespace. To be called every few seconds.
  void Update(const WarmOutcomes& outcomes, double requests, absl::Duration now);

  // Keys a second, for now.
  double rate() const { return std::max(floor_, std::min(rate_, affordable_)); }
  Memory memory() const { return {rate_, gained_, is_trusted_}; }
  double floor() const { return floor_; }
  bool at_ceiling() const { return rate() >= options_.ceiling; }
  // From now on another one; what it may read now stays, up to it.
  void SetCeiling(double ceiling);
  // As a leader before had it.
  void Restore(const Memory& memory, const WarmOutcomes& outcomes, absl::Duration now);

  // Of late; nullopt: too few outcomes to say.
  std::optional<double> precision() const;
  // Loads spared less loads spent in vain, for each entry of which the outcome is known.
  double net_benefit() const;

 private:
  struct Score {
    double used = 0;
    double vain = 0;
    double displaced = 0;
    double decided() const { return used + vain; }
  };

  // Entries that have waited for longer than `patience`.
  double Overdue(const WarmOutcomes& outcomes, absl::Duration now);
  void Judge();
  void Gain(const Score& fresh, absl::Duration passed);
  // What may be brought in until the next Update, by what waits for an outcome.
  void Afford(absl::Duration passed);

  WarmBudgetOptions options_;
  double rate_;
  double floor_;
  double affordable_;  // Keys a second.
  double gained_ = 0;  // Loads, lately.
  bool is_trusted_;
  WarmOutcomes seen_;
  double overdue_ = 0;
  Score fresh_;   // Since the last verdict.
  Score recent_;  // Decayed.
  absl::Duration updated_at_;
  // How many were warmed when, a minute apart: those within the patience, and one before.
  std::deque<std::pair<absl::Duration, uint64_t>> history_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_BUDGET_H_
