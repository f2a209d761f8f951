// WarmRunner carries out the jobs of a WarmQueue: it reads their keys through the region's nodes,
// so that every owner has its keys in memory afterwards.
//
// The job of highest priority goes first, batch by batch, so that a new job of higher priority need
// not wait for the end of a long one; of one priority they take turns (WarmTurns). A job that waits
// for a budget of its namespace or its origin is not overtaken there by those behind it, who may
// want less at once. Budgets of the namespace and of its origin bound the keys a
// second, those that are asked for again too; WarmPace bounds the reads at once.
// Keys that cannot be served for now are asked for again. When a node has too much to do, all reads
//   pause. When that is said of keys of one namespace (its origin, as a rule), or nobody answers
//   for any key of a batch, only its namespace pauses, longer each time: until the job's deadline,
//   and then one read goes first. A key that nobody answers for while others of its namespace are
//   answered fails after max_attempts.
// Promise: WarmJob::next_key moves only over keys whose outcome is known, so that another runner
//   goes on there. It repeats what was read behind the first key without an outcome, and since the
//   job was stored last.
// Cost: in memory are the keys' texts of at most max_loaded jobs and `pace.max` batches of keys,
//   however many keys a job has.
// Thread safety: all methods on the executor. REQUIRES: the executor is stopped before this is
//   destroyed, and outlives the reader's callbacks.

#ifndef MERIDIAN_SERVER_WARMING_WARM_RUNNER_H_
#define MERIDIAN_SERVER_WARMING_WARM_RUNNER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/resilience/backoff.h"
#include "common/resilience/token_bucket.h"
#include "server/warming/key_list.h"
#include "server/warming/warm_metrics.h"
#include "server/warming/warm_pace.h"
#include "server/warming/warm_queue.h"
#include "server/warming/warm_reader.h"
#include "server/warming/warm_settings.h"

namespace meridian {

struct WarmRunnerOptions {
  size_t batch_keys = 100;
  absl::Duration read_timeout = absl::Seconds(10);
  WarmPaceOptions pace;
  size_t max_loaded = 16;  // Jobs whose keys are in memory.
  int max_attempts = 5;    // Of a key that nobody answers for while others are answered.
  uint64_t random_seed = 1;
};

class WarmRunner {
 public:
  using TextLoaded = std::function<void(const absl::StatusOr<std::optional<WarmText>>&)>;
  struct Hooks {
    std::function<bool()> leads;                        // Asked before every read.
    std::function<bool(const std::string& id)> stored;  // A job that is not must not begin.
    std::function<void(const std::string& id, TextLoaded)> load_text;
    std::function<void()> on_progress;
    std::function<void(const std::string& id)> on_over;  // The job is done or has failed.
    // Keys a second that the source of the job may read for its namespace; nullopt: no bound.
    std::function<std::optional<double>(const WarmJob&)> rate;
    // Keys of a job that ended while its source had no budget for them.
    std::function<void(const WarmJob&, uint64_t keys)> on_refused;
  };

  WarmRunner(WarmRunnerOptions options, WarmBudgets budgets, const Clock& clock, Executor& executor,
             WarmReader& reader, WarmMetrics& metrics, WarmQueue& queue, Hooks hooks);

  // Addresses of CacheService to ask; none: wait.
  void SetNodes(std::vector<std::string> nodes);

  // From now on others.
  void SetBudgets(WarmBudgets budgets);

  // Does what can be done now, and comes back by itself when more can. To be called after every
  // change of the queue.
  void Pump();
  // Drops what it has of one job, or of all. Answers on their way are not heard any more.
  void Forget(const std::string& id) { runs_.erase(id); }
  void Stop();

  // Why reads of the namespace wait for the nodes, for people; empty: they do not.
  std::string WaitsFor(const std::string& name_space) const;
  // Keys a second that the budgets allow the job, alone.
  double RateOf(const WarmJob& job) const;
  bool has_nodes() const { return !nodes_.empty(); }
  size_t reads_at_once() const { return pace_.limit(clock_.Monotonic()); }

 private:
  // A stretch of a job's keys, [begin, begin + count).
  struct Batch {
    std::string job;
    std::string source;
    std::string name_space;
    uint64_t begin = 0;
    std::vector<uint64_t> left;  // Keys without an outcome.
    WarmQueue::Progress progress;
    int attempts = 0;            // That are counted against it.
    int unanswered = 0;          // Times that nobody answered for any of its keys.
    uint64_t answered_then = 0;  // Lane::answered, when it was sent or had no answer last.
    bool is_given_up = false;    // Its keys are counted as failed, though it is asked on.
    absl::Duration ready_at;     // Not asked again before.

    bool is_untouched() const { return left.size() == progress.keys; }
  };
  struct Run {
    std::optional<KeyList> keys;  // Empty while it is loaded.
    uint64_t sent = 0;            // Keys below were given to batches.
    int in_flight = 0;
    uint64_t given_up = 0;                          // Keys of batches that are.
    std::deque<Batch> waiting;                      // To be asked again.
    std::map<uint64_t, WarmQueue::Progress> ended;  // By begin; behind an earlier batch.
  };
  // How the namespace does.
  struct Lane {
    Backoff pauses;
    absl::Duration paused_until = -absl::InfiniteDuration();
    uint64_t answered = 0;  // Batches of which a key had an outcome.
    size_t in_flight = 0;
    int unanswered = 0;       // Batches in a row that nobody answered for.
    bool is_failing = false;  // Since nothing had an outcome: one read at a time.
    std::string why;

    bool is_closed(absl::Duration now) const {
      return now < paused_until || (is_failing && in_flight > 0);
    }
  };
  struct Budget {
    TokenBucket* name_space;
    TokenBucket* origin;  // May be nullptr.
    TokenBucket* source;  // May be nullptr.

    double burst() const;
    void Take(double count, absl::Duration now) const;
  };

  // What is found when it is looked who can read now.
  struct Look {
    absl::Duration now;
    absl::Duration wake;                  // When more can.
    std::set<const TokenBucket*> held{};  // A job waits for it; who comes later waits as well.
  };
  bool CanStep(const WarmJob& job, Look* look);
  // Whether `keys` may be read by this budget now.
  static bool MayTake(const Budget& budget, uint64_t keys, Look* look);
  void Step(const WarmJob& job, absl::Duration now);
  bool IsEvictable(const std::string& id) const;
  bool MakeRoom();  // For one more job in memory.
  void Load(const std::string& id);
  void HandleLoaded(const std::string& id, const absl::StatusOr<std::optional<WarmText>>& text);
  void Send(const WarmJob& job, Run* run, Batch batch);
  void HandleAnswer(uint64_t generation, Batch batch, absl::Duration took, WarmAnswer answer);
  void Pace(const WarmAnswer& answer, absl::Duration took);
  Lane& LaneOf(const std::string& name_space);
  // The namespace is left alone for a while.
  void PauseLane(Lane* lane, const WarmAnswer& answer);
  // Moves the keys that have an outcome from `left` to `progress`.
  void TakeOutcomes(const WarmAnswer& answer, Batch* batch);
  // When it is asked again, and what the answer has cost it.
  void Postpone(const WarmAnswer& answer, Lane* lane, Batch* batch);
  void GiveUp(const Lane& lane, Run* run, Batch* batch);
  void Settle(const std::string& id, Run* run, const Batch& batch);
  void Finish(const std::string& id, std::string error);
  void EndLate();
  void WakeAt(absl::Duration at);
  Budget BudgetOf(const WarmJob& job);
  uint64_t Wanted(uint64_t left, const Budget& budget) const;
  void CountKeys(const std::string& name_space, const std::string& source, std::string_view outcome,
                 uint64_t keys);
  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  const WarmRunnerOptions options_;
  WarmBudgets budgets_;
  const Clock& clock_;    // Not owned; outlives this.
  Executor& executor_;    // Not owned; outlives this.
  WarmReader& reader_;    // Not owned; outlives this.
  WarmMetrics& metrics_;  // Not owned; outlives this.
  WarmQueue& queue_;      // Not owned; outlives this.
  const Hooks hooks_;

  std::minstd_rand random_;
  WarmPace pace_;
  std::vector<std::string> nodes_;
  size_t next_node_ = 0;
  std::map<std::string, Run> runs_;                              // By id of the job.
  std::map<std::string, std::unique_ptr<TokenBucket>> buckets_;  // "n:<namespace>", "o:<origin>",
                                                                 // "s:<source>/<namespace>".
  std::map<std::string, Lane> lanes_;                            // By namespace.
  size_t in_flight_ = 0;
  uint64_t generation_ = 0;  // Answers of an earlier one are not heard.
  uint64_t wake_generation_ = 0;
  absl::Duration wake_at_ = absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_RUNNER_H_
