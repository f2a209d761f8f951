// Warmer is warming in a region: while its coordinator leads it queues what schedules and people
// ask for, carries it out (WarmRunner), and keeps all of it where the next leader finds it
// (WarmStore).
//
// Promise: a job that Run has answered OK is carried out although this process dies: the next
//   leader goes on where the last save (at most a second old) ends. A run of a schedule becomes one
//   job, whoever leads: the job and the mark that its time is over are one write under the fencing
//   token. Likewise what a cold cluster is given first, and the mark that it was. Settings may
//   change: what is queued stays, and a schedule with the same time table goes on where it was.
// Cost: idle, one timer a second; a job, two or three writes to the store and one a second while it
//   runs.
// Thread safety: counters() may be called by any thread, everything else on the executor.
//   REQUIRES: the executor is stopped before this is destroyed, and outlives the callbacks of the
//   store and of the reader.

#ifndef MERIDIAN_SERVER_WARMING_WARMER_H_
#define MERIDIAN_SERVER_WARMING_WARMER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/node/lease_store.h"
#include "server/warming/cold_start.h"
#include "server/warming/event_intake.h"
#include "server/warming/hot_key_source.h"
#include "server/warming/warm_metrics.h"
#include "server/warming/warm_queue.h"
#include "server/warming/warm_reader.h"
#include "server/warming/warm_runner.h"
#include "server/warming/warm_settings.h"
#include "server/warming/warm_sources.h"
#include "server/warming/warm_store.h"

namespace meridian {

struct WarmerOptions {
  std::string lease = "coordinator";             // Of the leader: its token fences the writes.
  absl::Duration job_deadline = absl::Hours(1);  // Of jobs that people start.
  WarmQueueOptions queue;
  absl::Duration settle = absl::Seconds(5);  // See ColdStart.
  WarmRunnerOptions runner;
  EventIntakeOptions events;
};

// What somebody asks for: a configured schedule now, or keys.
struct WarmRequest {
  std::string schedule;
  std::string name_space;
  std::vector<std::string> keys;  // Texts of a KeyList.
  int32_t priority = 0;
  std::vector<std::string> literal_keys = {};      // In place of `keys`: keys as they are.
  absl::Duration deadline = absl::ZeroDuration();  // From now; 0: as configured.
};

enum class WarmAction : uint8_t { kPause, kResume, kCancel };

// For metrics.
struct WarmCounters {
  WarmQueue::Totals jobs;
  uint64_t reads_at_once = 0;  // That the nodes' load allows now.
  std::vector<WarmSources::View> sources;
};

class Warmer {
 public:
  using JobDone = std::function<void(const absl::StatusOr<WarmJob>&)>;

  // `leads`: whether this coordinator still leads, by its own clock.
  Warmer(WarmerOptions options, WarmSettings settings, const Clock& clock, Executor& executor,
         LeaseStore& store, WarmReader& reader, WarmMetrics& metrics, std::function<bool()> leads);

  // This coordinator leads, under this token; or does not lead any more.
  void Lead(uint64_t token);
  void StepDown();
  // Called when the store has refused a write of the leader's. REQUIRES: never led.
  void SetOnFenced(std::function<void()> on_fenced) { on_fenced_ = std::move(on_fenced); }
  // Where hot keys are looked up; it outlives this. Without: nowhere. REQUIRES: never led.
  void SetHotKeys(HotKeySource& hot_keys) { hot_keys_ = &hot_keys; }
  // Addresses of CacheService of the serving nodes.
  void SetNodes(std::vector<std::string> nodes) { runner_.SetNodes(std::move(nodes)); }

  // The nodes that serve: see ColdStart.
  void SetServing(ColdStart::Nodes nodes) { serving_ = std::move(nodes); }

  // Queues a job; `done` when it is stored. The job of the same keys that waits already is answered
  // in its place. kInvalidArgument "FIELD_INVALID: <field>: why" and as CheckWarmNamespace,
  // kNotFound "SCHEDULE_UNKNOWN:
  // ...", kResourceExhausted "WARM_QUEUE_FULL: ...", kUnavailable when this does not lead or the
  // store is away: then nothing is queued, unless leadership ended while the job was being
  // stored.
  void Run(const WarmRequest& request, JobDone done);
  // What somebody should know who has just queued it, for people: that its keys take longer than
  // its deadline is. Empty: nothing.
  std::string WarningOf(const WarmJob& job) const;
  // Queues jobs, all or none; `done` when they are stored. As Run otherwise.
  void QueueAll(const std::vector<WarmOrder>& orders,
                std::function<void(const absl::Status&)> done);
  // What services report. kUnavailable when this does not lead.
  void Report(const std::vector<WarmEvent>& events, EventIntake::Done done);
  // See WarmQueue for the errors; `done` when it is stored.
  void Control(const std::string& id, WarmAction action, JobDone done);
  // Newest first. kUnavailable when this does not lead.
  absl::StatusOr<std::vector<WarmJob>> List() const;

  // What a node says it has of what was warmed. Not heard when this does not lead.
  void ReportFigures(const std::string& node, const WarmFigures& figures);
  // How many of `wanted` keys the source may queue now, so that its budget reads them in a few
  // seconds; the others are counted as refused.
  size_t TakeRoom(const std::string& source, const std::string& name_space, size_t wanted);
  // Of one namespace unless it is empty. kUnavailable when this does not lead.
  absl::StatusOr<std::vector<WarmSources::View>> ListSources(const std::string& name_space) const;

  // An immutable snapshot: who goes on with it later keeps it.
  using Settings = std::shared_ptr<const WarmSettings>;
  const Settings& settings() const { return settings_; }
  void SetSettings(Settings settings);
  // Why newer ones could not be read, for people; empty: these are the newest.
  const std::string& settings_problem() const { return settings_problem_; }
  void SetSettingsProblem(std::string problem) { settings_problem_ = std::move(problem); }

  WarmCounters counters() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // How far a schedule is.
  struct Mark {
    std::string table;  // Of WarmSchedule; a mark of another table is not used.
    absl::Time last;    // Runs up to here are queued, or left out.
  };

  static absl::Status NotLeading();

  void Load();
  void HandleLoaded(const absl::StatusOr<std::optional<std::string>>& value);
  void Restore(const std::string& text);
  void BeginMarks();
  // Marks that are further ahead than time can be begin now; true when there was one.
  bool MendMarks(absl::Time now);
  std::string Document() const;
  void HandleFenced(const std::string& why);

  void Tick();
  // The keys of a schedule, as they are written or as they are hot; `done` may be called before
  // this returns, or when leadership has ended.
  void FindKeys(const WarmSchedule& schedule,
                std::function<void(const absl::StatusOr<WarmText>&)> done);
  void QueueTop(const WarmSchedule& schedule, absl::Time now);
  void HandleTop(const WarmSchedule& schedule, const DueRuns& due,
                 const absl::StatusOr<WarmText>& text);
  // Whether the cluster is cold; then what `startup` says is queued, once.
  void LookCold();
  void StartCold();
  void QueueStart(const std::vector<WarmOrder>& orders);
  void RunTop(WarmJob job, const WarmSchedule& schedule, JobDone done);
  void Submit(WarmJob job, const WarmText& text, const JobDone& done);
  void CountMissed(const DueRuns& due);
  bool QueueRuns(const WarmSchedule& schedule, absl::Time now);
  WarmJob JobOf(const WarmSchedule& schedule, absl::Time now) const;
  absl::StatusOr<WarmJob> JobOf(const WarmRequest& request, WarmText* text);
  absl::StatusOr<WarmQueue::Added> Queue(WarmJob job, const WarmText& text);
  WarmJob JobOf(const WarmOrder& order);
  void Unqueue(const std::vector<std::string>& ids);

  void SaveNow(std::function<void(const absl::Status&)> done = nullptr);
  void SaveSoon();
  void HandleOver(const std::string& id);
  WarmJob View(const WarmJob& job) const;
  void Count() ABSL_LOCKS_EXCLUDED(mu_);

  const WarmerOptions options_;
  Settings settings_;
  std::string settings_problem_;
  const Clock& clock_;    // Not owned; outlives this.
  Executor& executor_;    // Not owned; outlives this.
  WarmMetrics& metrics_;  // Not owned; outlives this.
  const std::function<bool()> leads_;
  WarmQueue queue_;
  WarmSources sources_;
  WarmStore store_;
  WarmRunner runner_;
  EventIntake events_;

  NoHotKeys no_hot_keys_;
  std::function<void()> on_fenced_;
  HotKeySource* hot_keys_ = &no_hot_keys_;  // Not owned.
  std::set<std::string> asking_;            // Schedules of settings_ whose hot keys are looked up.

  ColdStart cold_;
  ColdStart::Nodes serving_;
  bool starting_ = false;

  uint64_t token_ = 0;
  uint64_t generation_ = 0;            // Of the leadership; one may follow another under one token.
  bool loaded_ = false;                // What the last leader left is in queue_ and marks_.
  uint64_t last_job_ = 0;              // That was made here; with the token, unique.
  std::map<std::string, Mark> marks_;  // By schedule.
  std::map<std::string, absl::Time> next_runs_;  // By schedule; of marks_.
  bool save_is_planned_ = false;

  mutable absl::Mutex mu_;
  WarmCounters counters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARMER_H_
