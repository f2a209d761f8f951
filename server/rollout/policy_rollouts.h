// PolicyRollouts is the policies of a region as versioned objects: it takes a new version, gives it
// to a share of the slots that grows stage by stage, watches the guards, and takes it back
// everywhere when one of them speaks.
//
// Promise: no node is given an assignment that the next leader would not know of: it is stored
// first,
//   under this leader's fencing token. One rollout runs at a time. A stage ends by itself when it
//   was watched for its time (RolloutStage), every node follows, and no guard has spoken; a guard
//   that speaks takes the rollout back within its interval. A revision is given to one assignment
//   only, whoever leads. What happened is in the rollout's events, of the last kMaxVersions
//   versions.
// Cost: one look at the figures every guard interval while a rollout runs, and some twenty writes
// to
//   the store a stage; nothing else.
// Thread safety: all methods and callbacks on the executor, except counters(). REQUIRES: the
//   executor is stopped before this is destroyed, and outlives the store's callbacks.

#ifndef MERIDIAN_SERVER_ROLLOUT_POLICY_ROLLOUTS_H_
#define MERIDIAN_SERVER_ROLLOUT_POLICY_ROLLOUTS_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/node/leader_store.h"
#include "server/rollout/rollout_memory.h"
#include "server/rollout/rollout_plan.h"
#include "server/rollout/rollout_stage.h"
#include "server/rollout/rollout_watch.h"
#include "server/rollout/version_figures.h"

namespace meridian {

struct PolicyRolloutsOptions {
  std::string lease = "coordinator";
  coordinator::v1::RolloutPlan plan = ShippedPlan();  // Of who does not say.
  RolloutWatch::MinHitRates min_hit_rates;
};

// For metrics.
struct RolloutCounters {
  uint64_t base_version = 0;
  uint64_t trial_version = 0;  // 0: no rollout runs.
  uint32_t trial_percent = 0;
  uint64_t started = 0;  // These since this process leads or led.
  uint64_t done = 0;
  uint64_t rolled_back = 0;
  uint64_t breaches = 0;  // Of these, by a guard.
};

class PolicyRollouts {
 public:
  static constexpr int kMaxVersions = 100;
  static constexpr size_t kMaxDocumentBytes = 256 << 10;
  static constexpr absl::Duration kMostLoading = absl::Seconds(2);
  // Nodes that are there have registered with a new leader by then.
  static constexpr absl::Duration kMostHearing = absl::Seconds(10);

  using Assignment = std::shared_ptr<const coordinator::v1::PolicyAssignment>;
  struct Hooks {
    std::function<void(const Assignment&)> publish;     // It is stored.
    std::function<void(const std::string&)> on_fenced;  // Another coordinator leads.
    // For the log.
    std::function<void(const coordinator::v1::Rollout&, const coordinator::v1::RolloutEvent&)>
        on_event;
    std::function<void()> on_loaded = nullptr;  // Knows() holds.
  };
  using ApplyDone = std::function<void(absl::StatusOr<coordinator::v1::ApplyPolicyResponse>)>;
  using GetDone = std::function<void(absl::StatusOr<coordinator::v1::GetPolicyResponse>)>;
  using ControlDone = std::function<void(absl::StatusOr<coordinator::v1::Rollout>)>;

  // References are not owned and outlive this.
  PolicyRollouts(PolicyRolloutsOptions options, const Clock& clock, Executor& executor,
                 LeaseStore& store, FigureSource figures, Hooks hooks);

  // Goes on where the leader before was. Calls are refused until its state was read.
  void Lead(uint64_t token);
  void StepDown();

  // Whether it is known what the nodes are to use, nothing included; who is to own slots waits for
  // it. True after kMostLoading in any case: a store that cannot be read stops no node.
  bool Knows() const;

  // The members that are to follow, and what one of them says.
  void SetNodes(std::set<std::string> nodes);
  void Report(const std::string& node, const coordinator::v1::PolicyReport& report);

  // kInvalidArgument "FIELD_INVALID: field: why"; kFailedPrecondition "ROLLOUT_RUNNING: ...",
  // "POLICY_UNCHANGED: ...", "POLICY_STATE_LOST: ..." or, while the store has no policies and some
  // node has not said yet what it follows, "POLICY_STATE_UNKNOWN: ...".
  void Apply(const coordinator::v1::ApplyPolicyRequest& request, ApplyDone done);
  // 0: what is in force. kNotFound "POLICY_UNKNOWN: ..."; kFailedPrecondition
  // "POLICY_STATE_LOST: ...": the nodes know what is in force, the store does not; or
  // "POLICY_STATE_UNKNOWN: ..." as of Apply.
  void Get(uint64_t version, GetDone done);
  // kNotFound "ROLLOUT_UNKNOWN: ..."; kFailedPrecondition "ROLLOUT_OVER: ...". A version that is in
  // all slots can be rolled back as long as nothing else was applied since. `expected_percent`: of
  // the slots, as the caller saw it; when that is another by now, kAborted "ROLLOUT_MOVED: ...". 0:
  // whatever it is.
  void Control(uint64_t version, coordinator::v1::RolloutAction action, uint32_t expected_percent,
               ControlDone done);
  // Newest first. kUnavailable: the state was not read yet.
  absl::StatusOr<std::vector<coordinator::v1::Rollout>> List() const;

  RolloutCounters counters() const;  // By any thread.

 private:
  using Rollout = coordinator::v1::Rollout;

  // policy_rollouts.cc
  void Load();
  void HandleDocument(const absl::StatusOr<std::optional<std::string>>& document);
  void HandleAssignment(const absl::StatusOr<std::optional<std::string>>& assignment);
  void HandleMemory(const absl::StatusOr<std::optional<std::string>>& memory);
  void RetryLoad();
  std::string Document();
  void HandleStored();
  // Stores what has changed; `assigns`: other slots or versions, too.
  void Save(bool assigns, LeaderStore::Done done);
  void OutrunNodes();
  // `memory`: what the leader before knew of the rollout that runs.
  void Watch(RolloutMemory memory);
  // For the next leader; stored with the next Save.
  void Remember();
  void EndWatch();
  void ScheduleLook();
  void Look();
  Rollout* Running();
  const Rollout* Running() const;
  Rollout* Find(uint64_t version);
  void Note(Rollout& rollout, const char* what, const std::string& by, const std::string& reason);
  void SetCounters();

  // What happens to a rollout. Each stores.
  void Start(Rollout rollout, const std::string& yaml, LeaderStore::Done done);
  void Next(Rollout& rollout, const char* what, const std::string& by, const std::string& reason,
            LeaderStore::Done done);
  void RollBack(Rollout& rollout, const std::string& by, const std::string& reason,
                LeaderStore::Done done);

  // policy_rollouts_calls.cc
  absl::Status CheckReady() const;
  // Whether it is known that nothing is in force, or something that the store has lost.
  absl::Status CheckHeard() const;
  // The nodes follow what the store knows nothing of.
  bool IsStateLost() const { return assignment_.revision() == 0 && seen_revision_ > 0; }
  uint64_t NewestVersion() const;
  // With what it waits for, and who is behind.
  Rollout Shown(const Rollout& rollout) const;
  void RollBackDone(uint64_t version, ControlDone done);
  void FinishRollBackDone(uint64_t version, uint64_t revision, const std::string& yaml,
                          ControlDone done);
  LeaderStore::Done Answer(uint64_t version, ControlDone done);
  std::map<std::string, std::string> Behind() const;

  const PolicyRolloutsOptions options_;
  const Clock& clock_;
  Executor& executor_;
  const FigureSource figures_;
  const Hooks hooks_;
  LeaderStore store_;

  uint64_t token_ = 0;
  uint64_t generation_ = 0;  // Of the leadership.
  uint64_t look_ = 0;        // Only the Look that was scheduled last runs.
  bool leading_ = false;
  absl::Duration leading_since_;
  bool loaded_ = false;
  coordinator::v1::ListRolloutsResponse history_;  // Newest first.
  coordinator::v1::PolicyAssignment assignment_;   // Revision 0: nothing was ever applied.
  Assignment sent_;                                // As it was when the write on its way began.
  Assignment published_;                           // nullptr: none.
  std::optional<RolloutWatch> watch_;              // These of the rollout that runs.
  std::optional<RolloutStage> stage_;
  absl::Duration remembered_;  // Time watched that the next leader would know of.
  std::set<std::string> nodes_;
  std::map<std::string, coordinator::v1::PolicyReport> reports_;
  uint64_t seen_revision_ = 0;  // The highest that a node follows.

  std::atomic<uint64_t> base_version_{0};
  std::atomic<uint64_t> trial_version_{0};
  std::atomic<uint32_t> trial_percent_{0};
  std::atomic<uint64_t> started_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<uint64_t> rolled_back_{0};
  std::atomic<uint64_t> breaches_{0};
};

// As the protos have it.
google::protobuf::Timestamp TimestampOf(absl::Time time);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_POLICY_ROLLOUTS_H_
