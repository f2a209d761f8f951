#include "server/rollout/rollout_stage.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr size_t kMostNames = 5;

}  // namespace

void RolloutStage::Begin(absl::Duration watched) {
  watched_ = watched;
  last_.reset();
  missing_ = "the first look of the guards";
  compared_ = false;
  unsure_.clear();
  needs_reads_ = false;
}

void RolloutStage::SawAll(absl::Duration now) {
  // A process that was stopped has not looked meanwhile.
  if (last_) watched_ += std::min(now - *last_, 2 * interval_);
  last_ = now;
  missing_.clear();
}

void RolloutStage::SawLess(std::string why) {
  last_.reset();
  missing_ = std::move(why);
}

void RolloutStage::SetUnsure(std::vector<std::string> unsure, bool needs_reads) {
  compared_ = true;
  unsure_ = std::move(unsure);
  needs_reads_ = needs_reads;
}

bool RolloutStage::IsOver() const {
  if (!missing_.empty() || !compared_ || watched_ < hold_) return false;
  return !needs_reads_ || watched_ >= kMostHolds * hold_;
}

std::string RolloutStage::UnsureText() const {
  if (unsure_.empty()) return "";
  const size_t shown = std::min(unsure_.size(), kMostNames);
  return absl::StrCat(
      "the guards were not sure of: ",
      absl::StrJoin(unsure_.begin(), unsure_.begin() + static_cast<ptrdiff_t>(shown), ", "),
      shown == unsure_.size() ? "" : absl::StrCat(" and ", unsure_.size() - shown, " more"));
}

std::string RolloutStage::WaitsFor() const {
  if (!missing_.empty()) return missing_;
  if (IsOver()) return "";
  const std::string held = absl::StrCat("watched ", DurationText(watched_), " of ");
  if (watched_ < hold_ || !compared_) {
    return absl::StrCat("its hold time: ", held, DurationText(hold_));
  }
  return absl::StrCat("more reads: ", UnsureText(), "; ", held, DurationText(kMostHolds * hold_),
                      ", then it goes on without");
}

}  // namespace meridian
