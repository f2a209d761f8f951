// WarmQueue is all warm jobs of a region, whatever asked for them: those that are live, and the
// last ones that are over. A pure state machine: time is passed in, nothing is sent or stored.
//
// Promise: ids are unique; of an identity at most one job is live and has not begun; a job that is
//   over never changes. Bounded: at most max_live live jobs, max_text_bytes of their keys,
//   max_history that are over; of these the ones that ended first of the source that has most are
//   forgotten, and never the one that has just ended.
// Cost: one map entry a job; Pick looks at live jobs in their order, until one can run.
// Thread safety: none; used by one thread (the coordinator's executor).

#ifndef MERIDIAN_SERVER_WARMING_WARM_QUEUE_H_
#define MERIDIAN_SERVER_WARMING_WARM_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/warming/warm_job.h"
#include "server/warming/warm_turns.h"

namespace meridian {

struct WarmQueueOptions {
  size_t max_live = 1000;
  size_t max_history = 200;
  size_t max_text_bytes = 16 << 20;
  uint64_t turn_keys = 1000;  // See WarmTurns.
};

class WarmQueue {
 public:
  explicit WarmQueue(WarmQueueOptions options) : options_(options), turns_(options.turn_keys) {}
  WarmQueue(const WarmQueue&) = delete;  // turns_ has the places of jobs_.
  WarmQueue& operator=(const WarmQueue&) = delete;

  struct Added {
    std::string id;
    bool is_new = false;  // False: the job of the same identity that waits already.
  };
  // Queues a job. kResourceExhausted "WARM_QUEUE_FULL: ..." when there are too many. Its id becomes
  // another one when there is such a job. One that is joined has the higher priority and the later
  // deadline of both; one that somebody has paused stays so.
  absl::StatusOr<Added> Add(WarmJob job);
  // As if it had never been added.
  void Remove(const std::string& id);
  void Clear();

  // kNotFound "WARM_JOB_UNKNOWN: ...", kFailedPrecondition "WARM_JOB_OVER: ...". What is asked for
  // and is so already is no error.
  absl::Status Pause(const std::string& id);
  absl::Status Resume(const std::string& id);
  absl::Status Cancel(const std::string& id, absl::Time now);

  // The live job of highest priority, then the one whose turn it is, that is not paused and that
  // `can_run` takes; nullptr when there is none. `can_run` is asked in this order.
  const WarmJob* Pick(const std::function<bool(const WarmJob&)>& can_run) const;
  // It has begun, unless it had before.
  void Begin(const std::string& id, absl::Time now);
  // So many of its keys are read, or read again, now: that is of its turn.
  void Spend(const std::string& id, uint64_t keys);
  // `keys` more keys are over.
  struct Progress {
    uint64_t keys = 0;
    uint64_t warmed = 0;
    uint64_t absent = 0;
    uint64_t failed = 0;
    uint64_t unkept = 0;
  };
  void Advance(const std::string& id, const Progress& progress);
  // Ends a live job: done when all its keys are over and not all failed; failed otherwise.
  void Finish(const std::string& id, std::string error, absl::Time now);
  // The live jobs whose deadline is over; nothing changes.
  std::vector<std::string> Late(absl::Time now) const;
  void SetError(const std::string& id, std::string error);

  const WarmJob* Find(const std::string& id) const;
  // Newest first.
  std::vector<WarmJob> List() const;
  size_t live() const;
  size_t live(std::string_view source) const;
  // Of the live jobs of one source and namespace.
  uint64_t keys_left(std::string_view source, std::string_view name_space) const;
  // Of the live jobs.
  struct Totals {
    uint64_t queued = 0;
    uint64_t running = 0;
    uint64_t paused = 0;
    uint64_t keys_left = 0;
  };
  Totals Count() const;

  // For the store and back. Jobs that cannot be read are left out and counted.
  nlohmann::json ToJson() const;
  size_t Restore(const nlohmann::json& json);

 private:
  WarmJob* FindLive(const std::string& id);
  absl::StatusOr<WarmJob*> Controllable(const std::string& id);
  // Not `just_ended`: whoever ended it looks at it next.
  void ForgetOld(const std::string& just_ended);

  const WarmQueueOptions options_;
  std::map<std::string, WarmJob> jobs_;  // By id.
  WarmTurns turns_;                      // Of those that are live.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_QUEUE_H_
