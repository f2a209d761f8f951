// WarmTurns is the order in which the live jobs of a WarmQueue read: by priority, and within one
// priority fairly, so that a job of a million keys holds up nobody.
//
// Jobs of one source and namespace are a lane. Of one priority the lanes take turns of `quantum`
// keys, and so do the jobs of a lane (deficit round robin: Shreedhar and Varghese, "Efficient fair
//   queuing using deficit round-robin", 1995): what a batch reads beyond its turn is taken from the
//   next one. Who cannot read when it is its turn keeps it, and the next in order may read.
// Promise: whoever is new, or was gone, is last: within one round of all others it has its turn,
//   and no stream of small jobs keeps a large one waiting. Nothing of it is stored: a new leader
//   begins a round with the oldest jobs.
// Cost: First looks at jobs until one may read, Spend is O(1) for the job whose turn it is, Add and
//   Remove look for the lane and the job.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_WARMING_WARM_TURNS_H_
#define MERIDIAN_SERVER_WARMING_WARM_TURNS_H_

#include <cstdint>
#include <functional>
#include <list>
#include <map>

#include "server/warming/warm_job.h"

namespace meridian {

class WarmTurns {
 public:
  explicit WarmTurns(uint64_t quantum) : quantum_(quantum) {}

  // `job` is not owned; its source, namespace and priority do not change while it is here.
  void Add(const WarmJob& job);
  // Nothing when it is not here.
  void Remove(const WarmJob& job);
  void Clear() { levels_.clear(); }

  // The first in order that `may_read` takes; nullptr when there is none.
  const WarmJob* First(const std::function<bool(const WarmJob&)>& may_read) const;
  // The job has been given so many keys to read.
  void Spend(const WarmJob& job, uint64_t keys);

 private:
  struct Entry {
    const WarmJob* job;
    uint64_t spent = 0;  // Of its turn.
  };
  // Invariant: not empty.
  struct Lane {
    std::list<Entry> jobs;
    uint64_t spent = 0;
  };
  using Level = std::list<Lane>;  // In order of their turns.

  static Level::iterator FindLane(Level* level, const WarmJob& job);
  static std::list<Entry>::iterator FindJob(Lane* lane, const WarmJob& job);

  const uint64_t quantum_;
  std::map<int32_t, Level, std::greater<>> levels_;  // By priority.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_TURNS_H_
