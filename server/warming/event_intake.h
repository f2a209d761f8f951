// EventIntake turns what services report into warm jobs, by the rules: the keys that events make
// are gathered for a moment and become one job for each rule and namespace.
//
// Promise: events that Report has answered OK have their jobs in the store, as every job: the next
//   leader carries them out. A key that a rule has warmed is not warmed again by it for
//   `not_again_for`, as far as this leader remembers.
// Bounds: events a second; keys and bytes that are gathered, of each rule and namespace; jobs that
//   are not over. What is beyond is not taken, and the caller is told.
// Cost: an event is matched with the rules of its kind; memory is bounded by the options.
// Thread safety: all methods and callbacks on the executor. REQUIRES: the executor is stopped
//   before this is destroyed.

#ifndef MERIDIAN_SERVER_WARMING_EVENT_INTAKE_H_
#define MERIDIAN_SERVER_WARMING_EVENT_INTAKE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/resilience/token_bucket.h"
#include "server/warming/warm_job.h"
#include "server/warming/warm_metrics.h"
#include "server/warming/warm_rule.h"

namespace meridian {

struct EventIntakeOptions {
  double events_per_second = 10'000;  // And so many at once after a rest.
  absl::Duration gather = absl::Milliseconds(100);
  size_t max_keys = 10'000;              // Gathered, of one rule and namespace.
  size_t max_bytes = size_t{128} << 10;  // Of them.
  size_t max_jobs = 100;                 // Of rules, that are not over.
  size_t max_remembered = 100'000;       // Keys, of one rule.
};

class EventIntake {
 public:
  struct Taken {
    size_t accepted = 0;  // The first so many of the events.
    // Of these: a rule is for them. One without a key asks whether a rule is for any of its kind
    // and namespace.
    size_t matched = 0;
  };
  using Done = std::function<void(const absl::StatusOr<Taken>&)>;
  using Queued = std::function<void(const absl::Status&)>;
  struct Hooks {
    std::function<size_t()> live_jobs;  // Of rules.
    // All or none; `Queued` when they are stored.
    std::function<void(std::vector<WarmOrder> orders, Queued)> queue;
  };

  // By name.
  using Rules = std::shared_ptr<const std::map<std::string, WarmRule>>;
  EventIntake(EventIntakeOptions options, const Rules& rules, const Clock& clock,
              Executor& executor, WarmMetrics& metrics, Hooks hooks);

  // From now on others. What was gathered by those of before is carried out; what was warmed by a
  // rule of the same name is remembered.
  void SetRules(const Rules& rules);

  // kResourceExhausted "EVENTS_LIMITED: ..." when none was taken.
  void Report(const std::vector<WarmEvent>& events, Done done);
  // Answers everybody who waits with `why`; what was gathered is forgotten.
  void Stop(const absl::Status& why);

 private:
  struct Lane {  // Of a rule and a namespace.
    std::set<std::string> keys;
    size_t bytes = 0;
  };
  using RulePtr = std::shared_ptr<const WarmRule>;  // Which keeps the rules that it is of.
  using LaneName = std::pair<RulePtr, std::string>;
  // Which keys a rule has warmed lately, by their hashes, and since when.
  struct Memory {
    std::set<uint64_t> hashes;
    std::deque<std::pair<absl::Duration, uint64_t>> by_time;
  };
  struct Waiter {
    Taken taken;
    Done done;
  };

  // False: there is no room for it.
  bool Take(const WarmEvent& event, Taken* taken);
  bool HasRoom(const RulePtr& rule, const WarmRule::Keys& keys) const;
  void FlushLater();
  void Flush();
  void HandleQueued(const absl::Status& status);
  bool Remembers(const WarmRule& rule, const std::string& name_space, const std::string& key);
  void Remember(const WarmRule& rule, const std::string& name_space, const std::string& key);
  void CountKeys(const WarmRule& rule, std::string_view outcome, uint64_t keys);

  const EventIntakeOptions options_;
  const Clock& clock_;    // Not owned; outlives this.
  Executor& executor_;    // Not owned; outlives this.
  WarmMetrics& metrics_;  // Not owned; outlives this.
  const Hooks hooks_;

  std::multimap<std::string, RulePtr> by_kind_;
  TokenBucket bucket_;
  std::map<LaneName, Lane> lanes_;
  std::vector<Waiter> waiters_;                           // For what is in lanes_.
  std::map<LaneName, std::vector<std::string>> sending_;  // Keys on their way to the store.
  std::vector<Waiter> told_;                              // When they are there.
  std::map<std::string, Memory> memories_;                // By name of the rule.
  bool busy_ = false;        // sending_ is on its way.
  bool is_planned_ = false;  // A flush is.
  uint64_t generation_ = 0;  // What was begun before a Stop is not heard.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_EVENT_INTAKE_H_
