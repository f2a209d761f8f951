#include "server/rollout/rollout_watch.h"

#include <algorithm>
#include <utility>

#include "server/rollout/rollout_guards.h"

namespace meridian {

using coordinator::v1::GuardReading;
using coordinator::v1::RolloutGuards;

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
  before_.reset();
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
  // Since the rollout began; when that was not seen, all that was ever counted.
  const VersionReads whole = last_of_base_->Of(name_space, base_version_);
  const VersionReads part = whole.Since(first_->Of(name_space, base_version_));
  return part.reads() >= guards_.min_reads() ? part : whole;
}

bool RolloutWatch::Look(const VersionFigures& now, std::vector<GuardReading>* readings) {
  if (!first_) first_ = now;
  if (!stage_) {
    stage_ = before_ = now;
    if (all_ && !last_of_base_) last_of_base_ = now;
    return false;
  }
  readings->clear();
  for (const auto& [key, figures] : now.table) {
    const auto& [name_space, version] = key;
    if (version != trial_version_ || !changed_.Has(name_space)) continue;
    const RolloutGuards guards = GuardsOf(name_space);
    const auto judge = [&, &of = name_space, &trial = figures](const VersionFigures& since) {
      return JudgeReads(of, trial.Since(since.Of(of, trial_version_)), BaseOf(of, now, since),
                        now.latency_bounds, guards);
    };
    std::vector<GuardReading> stage = judge(*stage_);
    std::vector<GuardReading> recent = judge(*before_);
    for (size_t i = 0; i < stage.size(); ++i) {
      readings->push_back(recent[i].breached() && !stage[i].breached() ? std::move(recent[i])
                                                                       : std::move(stage[i]));
    }
  }
  before_ = now;
  std::stable_partition(readings->begin(), readings->end(),
                        [](const GuardReading& reading) { return reading.breached(); });
  if (readings->size() > kMaxReadings) readings->resize(kMaxReadings);
  return true;
}

}  // namespace meridian
