// OwnDrops brings drops to the own store: of changes whose record was gone before it was sent, so
// that nothing older stays here when it comes in late (docs/adr/0025). What the store does not take
// now is owed, and tried again until it is taken (docs/adr/0027).
//
// Promise: each drop is written where nothing is alive, unseen by followers of the changelog; where
//   something older is alive it is repeated as a change, which everybody is told of. `paid` is
//   called when nothing of a slot is owed any more. A drop that the store refuses for the drop's
//   own sake is given up: at once where the answer says so, else when the store refuses it again
//   and again while it takes another write of the same slot. Want of memory is waited out.
// Bound: `most` are owed. Those of a store that refuses everything cost kTogether small calls every
//   few seconds.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_OWN_DROPS_H_
#define MERIDIAN_SERVER_REPLICATION_OWN_DROPS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

// What is as old as `up_to`, or older, is to go, and not to come back for `keep`.
struct OwnDrop {
  L2Key key;
  Version up_to;
  absl::Duration keep;
};

class OwnDrops {
 public:
  static constexpr size_t kMost = 10'000;
  static constexpr size_t kTogether = 64;  // Tried again at a time.

  struct Outcome {
    std::set<uint32_t> owing;    // Of the slots of these drops, those of which anything is owed now.
    std::set<uint32_t> no_room;  // Those of which something could not even be remembered.
    // What is refused at once for its own sake, by slot.
    std::map<uint32_t, std::vector<absl::Status>> given_up;
  };
  using Done = std::function<void(const Outcome&)>;
  // Whether the slot is still this link's.
  using IsHere = std::function<bool(uint32_t slot)>;
  using Paid = std::function<void(uint32_t slot)>;
  using GivenUp = std::function<void(const absl::Status&)>;

  // No reference is owned; all outlive this.
  OwnDrops(std::string own_region, L2Store& own, TaskGate gate, const Clock& clock,
           absl::Duration timeout, size_t most, uint64_t seed, IsHere is_here, Paid paid,
           GivenUp given_up);

  // `given_up` of the constructor is told of what is given up later.
  // REQUIRES: `drops` is not empty. Of slots that are lost meanwhile nothing is owed.
  void Write(std::vector<OwnDrop> drops, Done done);
  // The slot is somebody else's now.
  void Forget(uint32_t slot);

  size_t owed() const { return owed_.size(); }
  const absl::Status& refusal() const {
    return refusal_;
  }  // The last one; of use while any is owed.

 private:
  using Name = std::tuple<uint32_t, std::string, std::string>;  // Slot, namespace, key.
  struct Owed {
    OwnDrop drop;
    int refusals = 0;  // In a row, while its slot took another write right after it.
  };
  struct Round {
    size_t open = 0;
    bool any_paid = false;
  };
  using Results = std::vector<L2WriteResult>;

  // Writes them, those that find something older once more, then hands out how each of them ended.
  void Apply(std::shared_ptr<std::vector<OwnDrop>> drops, bool as_changes,
             std::function<void(const std::vector<absl::Status>&)> done);
  bool Owe(OwnDrop drop);
  bool Owes(uint32_t slot) const;
  void Pay(const Name& name);
  void TryLater();
  void Try();
  void Tried(const std::shared_ptr<Round>& round, const Name& name, const absl::Status& status);
  void Probe(const std::shared_ptr<Round>& round, const Name& name, const absl::Status& refusal);
  void Ended(const std::shared_ptr<Round>& round);

  const std::string own_region_;
  L2Store& own_;
  const TaskGate gate_;
  const Clock& clock_;
  const absl::Duration timeout_;
  const size_t most_;
  const IsHere is_here_;
  const Paid paid_;
  const GivenUp given_up_;
  std::map<Name, Owed> owed_;
  Name next_;            // Where the turns go on.
  bool trying_ = false;  // A round is due or under way.
  absl::Status refusal_;
  Backoff backoff_;
  std::minstd_rand random_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_OWN_DROPS_H_
