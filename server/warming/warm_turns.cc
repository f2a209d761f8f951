#include "server/warming/warm_turns.h"

#include <algorithm>

namespace meridian {

WarmTurns::Level::iterator WarmTurns::FindLane(Level* level, const WarmJob& job) {
  return std::find_if(level->begin(), level->end(), [&job](const Lane& lane) {
    const WarmJob& other = *lane.jobs.front().job;
    return other.source == job.source && other.name_space == job.name_space;
  });
}

std::list<WarmTurns::Entry>::iterator WarmTurns::FindJob(Lane* lane, const WarmJob& job) {
  return std::find_if(lane->jobs.begin(), lane->jobs.end(),
                      [&job](const Entry& entry) { return entry.job == &job; });
}

void WarmTurns::Add(const WarmJob& job) {
  Level& level = levels_[job.priority];
  auto lane = FindLane(&level, job);
  if (lane == level.end()) lane = level.emplace(level.end());
  lane->jobs.push_back({&job});
}

void WarmTurns::Remove(const WarmJob& job) {
  const auto level = levels_.find(job.priority);
  if (level == levels_.end()) return;
  const auto lane = FindLane(&level->second, job);
  if (lane == level->second.end()) return;
  const auto entry = FindJob(&*lane, job);
  if (entry == lane->jobs.end()) return;
  lane->jobs.erase(entry);
  if (lane->jobs.empty()) level->second.erase(lane);
  if (level->second.empty()) levels_.erase(level);
}

const WarmJob* WarmTurns::First(const std::function<bool(const WarmJob&)>& may_read) const {
  for (const auto& [priority, level] : levels_) {
    for (const Lane& lane : level) {
      for (const Entry& entry : lane.jobs) {
        if (may_read(*entry.job)) return entry.job;
      }
    }
  }
  return nullptr;
}

void WarmTurns::Spend(const WarmJob& job, uint64_t keys) {
  const auto level = levels_.find(job.priority);
  if (level == levels_.end()) return;
  const auto lane = FindLane(&level->second, job);
  if (lane == level->second.end()) return;
  const auto entry = FindJob(&*lane, job);
  if (entry == lane->jobs.end()) return;
  // A batch may be larger than a turn: the turns that it took beforehand are gone all the same.
  entry->spent += keys;
  if (entry->spent >= quantum_) {
    entry->spent = std::min(entry->spent - quantum_, quantum_ - 1);
    lane->jobs.splice(lane->jobs.end(), lane->jobs, entry);
  }
  lane->spent += keys;
  if (lane->spent >= quantum_) {
    lane->spent = std::min(lane->spent - quantum_, quantum_ - 1);
    level->second.splice(level->second.end(), level->second, lane);
  }
}

}  // namespace meridian
