// RolloutStage is how far a stage of a rollout has been watched, and whether that is enough.
//
// A stage is over when it was watched for its hold time and the guards were sure of every namespace
// that is read; or after kMostHolds hold times, because a namespace of few reads must not keep a
// version back for ever: then the history says of what they were not sure. Only time between two
// looks counts that both saw the figures of all nodes, all of which followed: what nobody watched
// was not held.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_ROLLOUT_ROLLOUT_STAGE_H_
#define MERIDIAN_SERVER_ROLLOUT_ROLLOUT_STAGE_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

class RolloutStage {
 public:
  static constexpr int kMostHolds = 3;

  RolloutStage(absl::Duration hold, absl::Duration interval) : hold_(hold), interval_(interval) {}

  // `watched`: by the leader before, when it was the same stage.
  void Begin(absl::Duration watched);

  // A look that saw everything, and one that did not.
  void SawAll(absl::Duration now);
  void SawLess(std::string why);
  // Of a look that could compare.
  void SetUnsure(std::vector<std::string> unsure, bool needs_reads);

  bool IsOver() const;
  absl::Duration watched() const { return watched_; }
  // What the guards are not sure of; empty: nothing.
  std::string UnsureText() const;
  // What it waits for, for people; empty: it is over.
  std::string WaitsFor() const;

 private:
  const absl::Duration hold_;
  const absl::Duration interval_;
  absl::Duration watched_;
  std::optional<absl::Duration> last_;  // Look that saw everything, when the last one did.
  std::string missing_ = "the first look of the guards";  // Why the last one did not.
  bool compared_ = false;
  std::vector<std::string> unsure_;
  bool needs_reads_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_ROLLOUT_STAGE_H_
