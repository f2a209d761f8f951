// FenceWait tells a node that starts whether its region was away from another for longer than
// tombstones are kept, and has not been told since what to forget: until then its store may hold
// keys that were deleted long ago. The other region's LinkRepair fences what is older, and only
// then moves the cursor that is looked at here.
//
// A region is waited for when a slot is unheard (hearing.h) before the time from which tombstones
// are kept.
// A store that does not answer says nothing: readiness never waits for one that is away. Nor does
// it wait for longer than `give_up`, because nobody may be there to mend this region. A node that
// was found ready once stays so: those who are served go on being served. Cost: while it waits,
// once a second, the cursors and log ends of the owned slots for each other region. Thread safety:
// WaitsFor may be called concurrently; all else is behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_
#define MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct FenceWaitOptions {
  absl::Duration tombstone_ttl = absl::Hours(24);
  absl::Duration interval = absl::Seconds(1);
  absl::Duration timeout = absl::Seconds(2);
  absl::Duration give_up = absl::Minutes(10);
};

class FenceWait {
 public:
  // `others` by region. References outlive this.
  FenceWait(FenceWaitOptions options, L2Store& own, std::map<std::string, L2Store*> others,
            TaskGate gate, const Clock& clock);

  // The slots that the node owns from now on; begins to look when there are any.
  void SetOwned(std::vector<uint32_t> slots);

  // The regions; empty: it waits for none.
  std::vector<std::string> WaitsFor() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Look();
  void Ask(const std::string& region, L2Store& store);
  void Judge(const std::string& region, bool behind);

  const FenceWaitOptions options_;
  L2Store& own_;
  const std::map<std::string, L2Store*> others_;
  const TaskGate gate_;
  const Clock& clock_;
  std::vector<uint32_t> slots_;
  bool looking_ = false;           // A look is due.
  size_t open_ = 0;                // Regions that are being looked at.
  absl::Duration since_;           // Monotonic, of the first look.
  std::set<std::string> settled_;  // Regions that are not waited for any more.
  mutable absl::Mutex mu_;
  std::set<std::string> waits_for_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_FENCE_WAIT_H_
