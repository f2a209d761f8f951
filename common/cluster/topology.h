// Topology is who owns what in one region: an immutable value, published whole.
//
// Agreement: OwnersOfSlots() (slot_assignment.h) is a pure function of the serving members and
//   their weights, so topologies of equal members are equal in every process.
// Thread safety: const methods may run concurrently; there are no others. TopologyHolder may be
//   used by any thread.

#ifndef MERIDIAN_COMMON_CLUSTER_TOPOLOGY_H_
#define MERIDIAN_COMMON_CLUSTER_TOPOLOGY_H_

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/base/hash.h"

namespace meridian {

enum class MemberState : uint8_t { kJoining = 1, kServing = 2, kDraining = 3 };

struct Member {
  std::string id;
  std::string data_address;
  std::string peer_address;
  std::string admin_address;
  std::string http_address;
  uint32_t weight = 1;
  MemberState state = MemberState::kServing;
  uint64_t incarnation = 0;

  friend bool operator==(const Member&, const Member&) = default;
};

class Topology {
 public:
  // Index of "nobody": there is no serving member.
  static constexpr uint16_t kNoOwner = 0xFFFF;

  // No members, epoch 0: what a node has before it heard of anybody.
  Topology() { slot_owners_.fill(kNoOwner); }

  // Computes the owners. Sorts `members` by id.
  // Returns kInvalidArgument for an empty or repeated id, and for weights outside 1..1000.
  static absl::StatusOr<Topology> Create(uint64_t epoch, std::string region,
                                         std::vector<Member> members);

  uint64_t epoch() const { return epoch_; }
  const std::string& region() const { return region_; }
  const std::vector<Member>& members() const { return members_; }  // Sorted by id.

  // Index into members(), or kNoOwner. REQUIRES: slot < kSlotCount.
  uint16_t OwnerIndex(uint32_t slot) const { return slot_owners_[slot]; }
  // nullptr when nobody owns it.
  const Member* OwnerOf(uint32_t slot) const {
    const uint16_t index = slot_owners_[slot];
    return index == kNoOwner ? nullptr : &members_[index];
  }
  // Index of a member by id, or kNoOwner.
  uint16_t IndexOf(std::string_view id) const;
  // Slots that a member owns, ascending.
  std::vector<uint32_t> SlotsOf(std::string_view id) const;

 private:
  uint64_t epoch_ = 0;
  std::string region_;
  std::vector<Member> members_;
  std::array<uint16_t, kSlotCount> slot_owners_;
};

// The current topology of a process. Readers take a snapshot and keep it for the whole request.
class TopologyHolder {
 public:
  using Snapshot = std::shared_ptr<const Topology>;
  using Listener = std::function<void(const Snapshot& previous, const Snapshot& current)>;

  TopologyHolder();

  // Never nullptr. Cost: one short lock; take it once a request, not once a key.
  Snapshot Get() const ABSL_LOCKS_EXCLUDED(mu_);

  // Publishes `topology` if its epoch is higher than the current one, then tells the listeners, in
  // order of epochs, on this thread. Returns whether it was newer.
  bool Offer(Topology topology) ABSL_LOCKS_EXCLUDED(mu_, publish_mu_);

  // Called for every later change. Listeners are never removed: they live as long as the process's
  // server object, which stops its topology source first.
  void AddListener(Listener listener) ABSL_LOCKS_EXCLUDED(publish_mu_);

 private:
  mutable absl::Mutex mu_ ABSL_ACQUIRED_AFTER(publish_mu_);
  Snapshot current_ ABSL_GUARDED_BY(mu_);
  absl::Mutex publish_mu_;  // Held while listeners run, so that they see epochs in order.
  std::vector<Listener> listeners_ ABSL_GUARDED_BY(publish_mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_CLUSTER_TOPOLOGY_H_
