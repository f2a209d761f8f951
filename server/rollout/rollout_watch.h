// RolloutWatch compares the reads in the slots of a rollout's trial with those in the other slots,
// or with those of before once there are no others, look by look.
//
// Each look judges two spans: since the look before, so that what is much worse is seen at once,
// and since the stage began, so that what is worse by little is seen at all. What it cannot judge
// it names: that nothing was seen to be worse does not mean that nothing is.
// Thread safety: none; used on the coordinator's executor.

#ifndef MERIDIAN_SERVER_ROLLOUT_ROLLOUT_WATCH_H_
#define MERIDIAN_SERVER_ROLLOUT_ROLLOUT_WATCH_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/policy/policy_diff.h"
#include "server/rollout/version_figures.h"

namespace meridian {

// What one look says.
struct RolloutLook {
  // What each guard says of each namespace that is read in the trial; what is breached first.
  std::vector<coordinator::v1::GuardReading> readings;
  // Namespaces that the version changes and the guards know too little of, and why, for people.
  std::vector<std::string> unsure;
  // More reads may tell: one of them is read, or none that the version changes is.
  bool needs_reads = false;
};

class RolloutWatch {
 public:
  using MinHitRates = std::map<std::string, double, std::less<>>;  // By namespace.

  // Watches the namespaces of `changed`. `floors`: of namespaces for which guards.min_hit_rate says
  // nothing.
  RolloutWatch(uint64_t base_version, uint64_t trial_version, ChangedNamespaces changed,
               coordinator::v1::RolloutGuards guards, const MinHitRates& floors);

  // What the leaders before have seen of the base. Before the first look.
  void Restore(VersionFigures base_before) { restored_ = std::move(base_before); }
  // What all of them have seen of it since the rollout began; for the next one.
  VersionFigures BaseFigures() const;

  // The rollout begins now: what was counted until then was before.
  void Begin(const VersionFigures& now) { first_ = before_ = now; }

  // The trial has other slots from now on; `all`: every slot.
  void BeginStage(bool all);

  // False: the first look of a stage, which the next ones are compared with.
  bool Look(const VersionFigures& now, RolloutLook* look);

 private:
  static constexpr size_t kMaxReadings = 60;

  bool Watches(const std::string& name_space, const VersionFigures& now) const;
  coordinator::v1::RolloutGuards GuardsOf(const std::string& name_space) const;
  // Of the other slots since `since`, or of before.
  VersionReads BaseOf(const std::string& name_space, const VersionFigures& now,
                      const VersionFigures& since) const;
  // Of the base before `until`, whoever saw it.
  VersionReads BaseBefore(const std::string& name_space, const VersionFigures& until) const;
  void Judge(const std::string& name_space, const VersionFigures& now, RolloutLook* look,
             bool* any_read) const;

  const uint64_t base_version_;
  const uint64_t trial_version_;
  const ChangedNamespaces changed_;
  const coordinator::v1::RolloutGuards guards_;
  const MinHitRates floors_;
  bool all_ = false;
  VersionFigures restored_;                     // Of the base, by leaders before.
  std::optional<VersionFigures> first_;         // Of the rollout, as far as it was seen.
  std::optional<VersionFigures> stage_;         // When the stage began.
  std::optional<VersionFigures> before_;        // At the look before.
  std::optional<VersionFigures> last_of_base_;  // When the last slots left the base.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_ROLLOUT_WATCH_H_
