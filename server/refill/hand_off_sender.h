// HandOffSender gives what L1 has of slots that this node is about to lose to those who will own
// them, the hottest of all slots first.
//
// Promise: an entry is read from L1 only when its next owner follows the slot's changelog, and when
//   this node has heard all that the log had after that: so whatever is newer than the entry, the
//   next owner hears of. `done` is called once for each Begin, unless another one replaces it: when
//   all is sent, when nobody takes more, or when `deadline` is over, whichever is first, also when
//   somebody never answers.
//   Of more keys than max_keys the hottest are sent, as far as L1 was seen within walk_deadline.
// Cost: `walk_buckets` entries of L1, or look_keys of what was found there, are looked at by a
// task,
//   and then others have their turn; 100 bytes or so a key, of at most max_keys; one batch of
//   batch_bytes under way, bytes_per_second.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REFILL_HAND_OFF_SENDER_H_
#define MERIDIAN_SERVER_REFILL_HAND_OFF_SENDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "common/engine/engine.h"
#include "server/node/hand_off.h"
#include "server/node/node_context.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct HandOffSenderOptions {
  absl::Duration deadline = absl::Seconds(4);        // Of all of it.
  absl::Duration ready_deadline = absl::Seconds(2);  // Until the next owners must be ready.
  absl::Duration walk_deadline = absl::Seconds(2);   // Of looking through L1.
  absl::Duration retry = absl::Milliseconds(20);     // Between two questions whether they are.
  absl::Duration timeout = absl::Seconds(1);         // Of one call.
  double bytes_per_second = 128 << 20;
  size_t max_keys = 500'000;
  size_t max_value_bytes = size_t{1}
                           << 20;  // Larger values are read from Redis when they are wanted.
  size_t batch_bytes = size_t{1} << 20;
  size_t batch_keys = 1000;
  size_t walk_buckets = 1024;
  size_t look_keys = 4096;
};

class HandOffSender {
 public:
  using Done = std::function<void(uint64_t taken)>;

  // References outlive this; `transport` also the last of its callbacks.
  HandOffSender(HandOffSenderOptions options, const NodeContext& context,
                HandOffTransport& transport, TaskGate gate);

  // By `planned` others own slots that are this node's now. None: `done` is called at once.
  void Begin(TopologyHolder::Snapshot planned, Done done);

  // This node's tail has told everything that the logs had at that time.
  void OnCaughtUp(absl::Duration at);

 private:
  struct Target {
    const Member* member;  // Of planned_.
    std::optional<absl::Duration> ready_at = {};
    bool gone = false;  // Takes nothing (more).
  };
  struct Candidate {
    std::string key;
    NamespaceId name_space;
    uint16_t slot;
  };
  // By their hits: how many keys of the same heat there are does not matter, and none is moved.
  using ByHits = std::array<std::vector<Candidate>, 256>;

  void AskReady(size_t target);
  void Walk();
  // Unless there are max_keys that are as hot. Drops one of the coldest for it.
  void Keep(Candidate candidate, uint8_t hits);
  // The hottest that is left, and its hits; nullopt: none.
  std::optional<std::pair<Candidate, uint8_t>> TakeHottest();
  // Everybody is ready or gone, and L1 is as new as they need it.
  void MaybeSend();
  void Send();
  std::optional<HandOffItem> Read(const Candidate& candidate, uint8_t hits) const;
  void Sent(size_t target, size_t items, const absl::StatusOr<uint64_t>& taken);
  void End();
  bool IsLate() const;

  const HandOffSenderOptions options_;
  const NodeContext& context_;
  HandOffTransport& transport_;
  const TaskGate gate_;

  uint64_t run_ = 0;  // Counts calls of Begin: answers of earlier ones are not heard.
  TopologyHolder::Snapshot planned_;
  Done done_;  // nullptr: nothing is under way.
  absl::Duration until_;
  absl::Duration ready_until_;
  absl::Duration walk_until_;
  std::vector<uint16_t> target_of_;  // By slot; kSlotCount: none.
  std::vector<Target> targets_;
  std::vector<bool> wanted_;
  std::vector<std::string> names_;
  Engine::WalkPlace place_;
  bool walked_ = false;
  bool sending_ = false;
  ByHits candidates_;
  size_t kept_ = 0;     // Of candidates_, all together.
  size_t coldest_ = 0;  // Hits: colder ones are none, and hotter ones
  size_t hottest_ = 0;  // are none.
  size_t open_ = 0;     // Calls.
  uint64_t taken_ = 0;
  absl::Duration send_at_;  // The next batch, for the rate.
  absl::Duration caught_up_ = -absl::InfiniteDuration();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_HAND_OFF_SENDER_H_
