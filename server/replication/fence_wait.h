// FenceWait knows whether its region was away from another for longer than tombstones are kept, and
// has not been told since what to forget: until then its store may hold keys that were deleted long
// ago. The other region's LinkRepair fences what is older, and only then moves the cursor that is
// looked at here.
//
// A slot is behind when it is unheard (hearing.h) before the time from which tombstones are kept.
// Each region is asked about all slots, also those of other nodes, which may be this one's at any
// time, or be read here when their owner has died. A call that fails, of the own store or of the
// other, says nothing and is repeated. Two things follow for slots that are behind (docs/adr/0021):
// - What they hold from before that time is not to be served (`fence`), by whatever node owns them,
//   however long it has been running.
// - A node that starts and owns some is not ready. A region that has not said anything is waited for during
//   `patience` only, because it may be gone for good; when it answers later, and slots are behind,
//   the node waits anew. Whoever was told once that nothing is unheard stays ready: a cut that
//   begins, lasts and heals later on takes no region out of service.
//
// Both last while the region is mending: as long as anything comes from it, or slots become heard;
// without a sign of it for `give_up`, nobody may be there to mend this region, until there is one
// again; `at_most` after it has begun it is over in any case, until nothing was behind for once.
// Nobody mends what an operator has cut off from here (region_cuts.h), until he heals it.
//
// Cost: for each other region the cursors of all slots, the log ends of those that are old, and the
// operator's order when some are behind; every `interval` while it does not answer, or ten times as
// long as the answer took: at least `interval` while it mends, else `again`, at most ten times that.
// Thread safety: WaitsFor may be called concurrently; all else is behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_
#define MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"
#include "server/replication/change_sink.h"
#include "server/replication/hearing.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct FenceWaitOptions {
  std::string own_region;
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration interval = absl::Seconds(1);
  absl::Duration again = absl::Seconds(10);
  absl::Duration timeout = absl::Seconds(2);
  absl::Duration patience = absl::Seconds(3);
  absl::Duration give_up = absl::Minutes(10);
  absl::Duration at_most = absl::Hours(6);
};

class FenceWait final : public ChangeSink {
 public:
  // Told after every answer: by slot, the time before which nothing of it is to be served.
  using Fence = std::function<void(const std::map<uint32_t, absl::Time>&)>;

  // `others` by region. References outlive this.
  FenceWait(FenceWaitOptions options, L2Store& own, const std::map<std::string, L2Store*>& others,
            TaskGate gate, const Clock& clock, Fence fence);

  // The slots that the node owns from now on; begins to look when there are any.
  void SetOwned(std::vector<uint32_t> slots);

  // The regions; empty: it waits for none.
  std::vector<std::string> WaitsFor() const ABSL_LOCKS_EXCLUDED(mu_);

  // What comes from a region is a sign of it.
  void OnChanges(LogPosition after, const LogSlice& slice) override;
  void OnSlotGained(uint32_t, LogPosition) override {}
  void OnSlotLost(uint32_t) override {}
  void OnGap(uint32_t, GapKind) override {}
  void OnLoss(const SlotLoss&) override {}

 private:
  // What is known of another region.
  struct Other {
    L2Store* store = nullptr;
    uint16_t id = 0;
    bool answered = false;        // It has said something.
    bool told = false;            // It has said at least once that no owned slot is unheard.
    bool cut = false;             // It does not send here, by order.
    std::set<uint32_t> unheard;   // As of its last answer.
    absl::Time before;            // What its last answer was about.
    absl::Duration asked_at;      // Monotonic.
    absl::Duration behind_since;  // Monotonic: when the first slot was.
    absl::Duration sign;          // Monotonic: the last sign of it, or of progress.
  };

  void Ask(const std::string& region);
  void Judge(const std::string& region, absl::Time before, const HearingAnswer& answer);
  void AskWhetherCut(const std::string& region, absl::Time before, std::set<uint32_t> unheard);
  void Take(Other* other, absl::Time before, std::set<uint32_t> unheard, bool cut);
  void AskAgain(const std::string& region, bool failed);
  absl::Duration AskAgainAfter(const Other& other, bool failed) const;
  // Slots of it are behind, and it may still mend them.
  bool Mends(const Other& other) const;
  bool IsWaitedFor(const Other& other) const;
  void NoteSign(Other* other);
  void Update();

  const FenceWaitOptions options_;
  L2Store& own_;
  const TaskGate gate_;
  const Clock& clock_;
  const Fence fence_;
  std::vector<uint32_t> slots_;          // Owned; ascending.
  bool began_ = false;                   // To ask, for good.
  std::map<std::string, Other> others_;  // The same regions all the time.
  absl::Duration since_;                 // Monotonic: when the first slots came.
  mutable absl::Mutex mu_;
  std::vector<std::string> waits_for_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_
