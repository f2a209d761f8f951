#include "server/rollout/rollout_watch.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/rollout/rollout_guards.h"

namespace meridian {

using coordinator::v1::GuardReading;
using coordinator::v1::RolloutGuards;

namespace {

// Under which nodes count those together that have no figures of their own (Namespaces::Figures).
constexpr char kOther[] = "other";

}  // namespace

RolloutWatch::RolloutWatch(uint64_t base_version, uint64_t trial_version, ChangedNamespaces changed,
                           RolloutGuards guards, const MinHitRates& floors)
    : base_version_(base_version),
      trial_version_(trial_version),
      changed_(std::move(changed)),
      guards_(std::move(guards)),
      floors_(floors) {}

void RolloutWatch::BeginStage(bool all) {
  all_ = all;
  stage_.reset();
}

RolloutGuards RolloutWatch::GuardsOf(const std::string& name_space) const {
  RolloutGuards guards = guards_;
  const auto floor = floors_.find(name_space);
  if (guards.min_hit_rate() == 0 && floor != floors_.end()) guards.set_min_hit_rate(floor->second);
  return guards;
}

VersionReads RolloutWatch::BaseOf(const std::string& name_space, const VersionFigures& now,
                                  const VersionFigures& since) const {
  if (!all_) {
    return now.Of(name_space, base_version_).Since(since.Of(name_space, base_version_));
  }
  return BaseBefore(name_space, *last_of_base_);
}

// Since the rollout began; when that is too little, all that was ever counted.
VersionReads RolloutWatch::BaseBefore(const std::string& name_space,
                                      const VersionFigures& until) const {
  VersionReads part = restored_.Of(name_space, base_version_);
  part += until.Of(name_space, base_version_).Since(first_->Of(name_space, base_version_));
  if (part.reads() >= guards_.min_reads()) return part;
  VersionReads whole = until.Of(name_space, base_version_);
  return whole.reads() > part.reads() ? whole : part;
}

VersionFigures RolloutWatch::BaseFigures() const {
  if (!before_) return restored_;
  const VersionFigures& until = last_of_base_ ? *last_of_base_ : *before_;
  VersionFigures base;
  base.latency_bounds = before_->latency_bounds;
  std::set<std::string> names;
  for (const VersionFigures* figures : {&restored_, &until}) {
    for (const auto& [key, reads] : figures->table) {
      if (key.second == base_version_ && Watches(key.first, until)) names.insert(key.first);
    }
  }
  for (const std::string& name : names) {
    base.table[{name, base_version_}] = BaseBefore(name, until);
  }
  return base;
}

// A namespace without figures of its own is judged with the others of its kind, or not at all.
bool RolloutWatch::Watches(const std::string& name_space, const VersionFigures& now) const {
  if (changed_.Has(name_space)) return true;
  return name_space == kOther &&
         std::any_of(changed_.named().begin(), changed_.named().end(),
                     [&now](const std::string& name) { return !now.Knows(name); });
}

void RolloutWatch::Judge(const std::string& name_space, const VersionFigures& now,
                         RolloutLook* look, bool* any_read) const {
  const RolloutGuards guards = GuardsOf(name_space);
  const VersionReads counted = now.Of(name_space, trial_version_);
  const VersionReads trial = counted.Since(stage_->Of(name_space, trial_version_));
  const VersionReads base = BaseOf(name_space, now, *stage_);
  if (trial.reads() == 0 && (all_ || base.reads() == 0)) {
    look->unsure.push_back(absl::StrCat(name_space, " (not read)"));
    return;
  }
  *any_read = true;
  std::vector<GuardReading> stage = JudgeReads(name_space, trial, base, now.latency_bounds, guards);
  std::vector<GuardReading> recent =
      JudgeReads(name_space, counted.Since(before_->Of(name_space, trial_version_)),
                 BaseOf(name_space, now, *before_), now.latency_bounds, guards);
  const bool sure = std::all_of(stage.begin(), stage.end(),
                                [](const GuardReading& reading) { return reading.sure(); });
  if (!sure) {
    look->needs_reads = true;
    look->unsure.push_back(absl::StrCat(name_space, " (", trial.reads(), " reads, ", base.reads(),
                                        " to compare with, of ", guards.min_reads(), ")"));
  }
  if (trial.reads() == 0) return;
  for (size_t i = 0; i < stage.size(); ++i) {
    look->readings.push_back(recent[i].breached() && !stage[i].breached() ? std::move(recent[i])
                                                                          : std::move(stage[i]));
  }
}

bool RolloutWatch::Look(const VersionFigures& now, RolloutLook* look) {
  if (!first_) {
    first_ = now;
    if (restored_.latency_bounds != now.latency_bounds) {  // Of another release.
      for (auto& [key, reads] : restored_.table) reads.latency.clear();
    }
  }
  if (!stage_) {
    stage_ = before_ = now;
    if (all_ && !last_of_base_) last_of_base_ = now;
    return false;
  }
  *look = {};
  std::set<std::string> names;
  for (const auto& [key, figures] : now.table) {
    if (Watches(key.first, now)) names.insert(key.first);
  }
  bool any_read = false;
  for (const std::string& name : names) Judge(name, now, look, &any_read);
  for (const std::string& name : changed_.named()) {
    if (now.Knows(name)) continue;
    const bool hidden = now.Knows(kOther);
    look->needs_reads |= hidden;
    look->unsure.push_back(absl::StrCat(name, hidden ? " (counted with others)" : " (not read)"));
  }
  if (!any_read) {
    look->needs_reads = true;
    if (look->unsure.empty()) look->unsure.push_back("no namespace that it changes was read");
  }
  before_ = now;
  std::stable_partition(look->readings.begin(), look->readings.end(),
                        [](const GuardReading& reading) { return reading.breached(); });
  if (look->readings.size() > kMaxReadings) look->readings.resize(kMaxReadings);
  return true;
}

}  // namespace meridian
