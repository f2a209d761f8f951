// LinkRepair mends slots of which changes were trimmed from the changelog before the other region
// got them: it walks through the own store, compares versions with the target's, and sends what is
// newer, tombstones included (docs/adr/0010).
//
// Promise: when a slot is reported as mended, the target has every record of it that was in the own
//   store when its pass began, or a newer one; unless it was lost at the target since. An error of
//   the target keeps the place, and the pass is done once more at the end, because the target may
//   have lost what it was sent; an error of the own store begins anew, because a walk does not
//   survive a restart. A pass that finds nothing to send moves versions only.
// A slot whose cursor is older than tombstones are kept is fenced: what the target has from before
//   that time and the own store has not was deleted or forgotten here, and leaves the target.
// What the own store has from before that time and the target has not may have been deleted over
//   there, and forgotten: it is sent only when this region has been told everything that the others
//   did before that time (docs/adr/0014). Otherwise the slot waits for that, at most for
//   `listen_for`; then such a value is forgotten here, too, or, when a region that may know of a
//   delete does not answer, kept and not sent.
// While this machine's clock is off no pass begins: the horizon would be wrong.
// Cost: one page of the walk at a time, at most `keys_per_second` keys of the whole store; one pass
//   serves all slots that wait.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_
#define MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/base/version.h"
#include "common/resilience/backoff.h"
#include "server/node/clock_guard.h"
#include "server/node/l2_store.h"
#include "server/policy/namespace_policy.h"
#include "server/replication/hearing.h"
#include "server/replication/link_backlog.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct LinkRepairOptions {
  double keys_per_second = 20'000;  // Looked at, of the whole own store.
  size_t page_keys = 500;
  size_t fetch_keys = 64;  // Whole records that are moved together.
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration listen_for = absl::Minutes(1);  // At most tombstone_ttl.
  absl::Duration listen_interval = absl::Seconds(1);
  absl::Duration timeout = absl::Seconds(5);
  BackoffOptions backoff{.initial = absl::Milliseconds(100), .max = absl::Seconds(5)};
};

struct LinkRepairStatus {
  size_t slots = 0;              // Not mended yet.
  uint64_t compared_total = 0;   // Keys.
  uint64_t sent_total = 0;       // Of them, those that the target did not have so new.
  uint64_t mended_total = 0;     // Slots.
  uint64_t forgotten_total = 0;  // Keys: dropped here, because they may have been deleted there.
  uint64_t withheld_total = 0;   // Keys: kept and not sent, for the same reason.
  std::string problem;           // Why it waits; empty: it does not.
};

class LinkRepair {
 public:
  using ModeOf = std::function<ReplicationMode(std::string_view name_space)>;
  using Mended = std::function<void(SlotTicket)>;

  // No reference is owned; all outlive this.
  LinkRepair(LinkRepairOptions options, std::string own_region, L2Store& source, L2Store& target,
             const Hearing& hearing, TaskGate gate, const Clock& clock,
             const ClockGuard& clock_guard, ModeOf mode_of, Mended mended);

  // Mends the slot, in a pass that begins after this call. `cursor` is what the target had.
  // `memory_lost`: the own store came back from before the time from which tombstones are kept, and
  // may lack deletes of its own.
  void Add(SlotTicket ticket, LogPosition cursor, bool memory_lost = false);
  // The slot is somebody else's now.
  void Remove(uint32_t slot);
  // The target failed elsewhere and may have lost what it was sent.
  void TargetFailed() { again_ = running_; }

  LinkRepairStatus Status() const;

 private:
  // What is walked through: the own store for what is newer here, then, when a slot must be fenced,
  // the target for what is only there.
  enum class Walk { kSource, kTarget };
  // Whether what is here from before the horizon may have been deleted elsewhere.
  enum class Doubt { kNone, kNotTold, kNobodyAnswers };
  struct Slot {
    uint64_t generation = 0;
    LogPosition cursor;
    bool memory_lost = false;
    absl::Duration listens_until;  // Monotonic.
    bool in_pass = false;
    Doubt doubt = Doubt::kNone;  // In this pass.
  };
  struct Page;

  void BeginPass();
  void Heard(const Hearing::Answer& answer);
  void BeginWalk(Walk walk);
  void ReadPage();
  void Compare(const std::shared_ptr<Page>& page);
  void SendNext(const std::shared_ptr<Page>& page);
  void Fetched(const std::shared_ptr<Page>& page, const std::vector<L2Key>& keys,
               const std::vector<Version>& versions, const std::vector<L2Record>& records);
  bool SendsFromSource(const L2Key& key, Version here, Version there,
                       std::vector<L2Key>* to_forget);
  void Forget(const std::shared_ptr<Page>& page);
  void Apply(const std::shared_ptr<Page>& page, std::vector<L2Write> writes);
  void FinishPage(const Page& page);
  void FinishPass();
  void SourceFailed(const absl::Status& status);
  void TargetFailedHere(const absl::Status& status);
  void RetryLater(Executor::Task next);

  Version Fence() const;
  bool IsFenced(const Slot& slot) const;
  bool NeedsFence() const;
  bool SendsValues(const L2Key& key) const {
    return mode_of_(key.name_space) != ReplicationMode::kInvalidateOnly;
  }
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const LinkRepairOptions options_;
  const std::string own_region_;
  L2Store& source_;
  L2Store& target_;
  const Hearing& hearing_;
  const TaskGate gate_;
  const Clock& clock_;
  const ClockGuard& clock_guard_;
  const ModeOf mode_of_;
  const Mended mended_;

  std::map<uint32_t, Slot> slots_;
  bool running_ = false;  // A pass runs: exactly one continuation of it is waiting somewhere.
  bool again_ = false;    // The target failed during this pass.
  Walk walk_ = Walk::kSource;
  std::string from_;    // Where the walk goes on.
  size_t fetch_limit_;  // Shrinks when the own store refuses.
  int refused_alone_ = 0;
  absl::Time horizon_;  // What is older may have been deleted without a trace.
  Backoff backoff_;
  std::minstd_rand random_;
  uint64_t compared_total_ = 0;
  uint64_t sent_total_ = 0;
  uint64_t mended_total_ = 0;
  uint64_t forgotten_total_ = 0;
  uint64_t withheld_total_ = 0;
  std::string problem_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_LINK_REPAIR_H_
