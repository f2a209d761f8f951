// WatchHub numbers what happens to the slots of this node, so that caches elsewhere can follow:
// near caches in clients and mirrors on other nodes (docs/adr/0017). It is told of own writes when
// they are done, of all others by the changelog's tail, and of fences.
//
// Promise: numbers grow by one and have no holes; a reader gets every event of its slots in order,
//   or a gap for exactly its slots when the events have left the ring. A message says how far it is
//   complete: every change before that time is in it or in one before it. After a fence messages
//   that are complete up to later times follow soon, without events: who holds values back until all
//   is told that was done by then (NearCache::Hold) waits for them. Memory is bounded by the ring,
//   whatever readers do. While nobody has followed for a while, nothing is kept.
// Cost: an event is encoded once and copied into the messages of those who follow its slot; one
//   short lock. Without readers a change costs one load.
// Thread safety: all methods may be called concurrently, but a Reader has one user at a time.

#ifndef MERIDIAN_SERVER_NODE_WATCH_HUB_H_
#define MERIDIAN_SERVER_NODE_WATCH_HUB_H_

#include <array>
#include <atomic>
#include <bitset>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/version.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {

using SlotSet = std::bitset<kSlotCount>;

struct WatchHubOptions {
  uint64_t incarnation = 1;  // Of this process; not 0.
  size_t max_events = 65536;
  size_t max_bytes = size_t{16} << 20;      // Of encoded events.
  size_t message_bytes = size_t{64} << 10;  // A message ends after the event that reaches this.
  // There is no changelog: what this node does itself is all that happens.
  bool own_writes_only = false;
};

struct WatchStats {
  uint64_t events = 0;      // Numbered.
  uint64_t duplicates = 0;  // Changes that were told before.
  uint64_t slot_gaps = 0;   // Told: a slot gained, lost, or with a hole in its changelog.
  uint64_t overruns = 0;    // Readers that the ring has overtaken.
  uint64_t resumed = 0;     // Readers that went on where they had been.
  size_t ring_events = 0;
  size_t ring_bytes = 0;
  size_t readers = 0;
};

class WatchHub {
 public:
  // Where somebody is in the events. Made by Open, given back by Close.
  struct Reader {
    SlotSet slots;
    uint64_t sent = 0;  // Every event up to this number was looked at.
    uint64_t told = 0;  // The number that the last message named; of the first, where it goes on.
    bool opened = false;
    bool all_lost = false;  // A gap of all slots is to be told.
    uint64_t settled = 0;   // Of settles_, those that it was told.
    SlotSet ended;          // To be told first: not followed when it was opened.
  };

  // `clock` is not owned and outlives this.
  WatchHub(WatchHubOptions options, const Clock& clock) : options_(options), clock_(clock) {}

  uint64_t incarnation() const { return options_.incarnation; }

  // Called after events, and often when there are none; under no lock. Must not block.
  // REQUIRES: set before the first event.
  void SetListener(std::function<void()> listener) { listener_ = std::move(listener); }

  // --- What happens.

  // A key has a newer version, and reads here see it: an own write that was done, or a change in
  // the changelog. What is told twice becomes one event, if the two are near each other.
  void Changed(uint32_t slot, std::string_view name_space, std::string_view key, Version version)
      ABSL_LOCKS_EXCLUDED(mu_);
  // The same of an own write whose outcome is not known: it may come to be later, and is told once
  // more when the changelog has it.
  void MayChange(uint32_t slot, std::string_view name_space, std::string_view key, Version version)
      ABSL_LOCKS_EXCLUDED(mu_);
  // A fence is in force here. An empty `scope` covers the whole namespace.
  enum class FenceKind : uint8_t { kNamespace, kTag, kPrefix };
  void Fenced(std::string_view name_space, FenceKind kind, std::string_view scope, Version version)
      ABSL_LOCKS_EXCLUDED(mu_);
  // From now on every change of the slot is told; nothing is known of before.
  void SlotFollowed(uint32_t slot) ABSL_LOCKS_EXCLUDED(mu_);
  void SlotLost(uint32_t slot) ABSL_LOCKS_EXCLUDED(mu_);
  // Changes may have been lost; it is followed all the same.
  void SlotGap(uint32_t slot) ABSL_LOCKS_EXCLUDED(mu_);
  // As SlotGap of every followed slot: what cached names mean has changed.
  void AllGap() ABSL_LOCKS_EXCLUDED(mu_);
  // All changes of followed slots made before `at` (monotonic) have been told.
  void CaughtUp(absl::Duration at) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether changes of the slot are told.
  bool Follows(uint32_t slot) const { return followed_[slot].load(std::memory_order_acquire); }

  // --- Who follows.

  // A reader of `slots` that begins now, or after `resume_after` of this incarnation if the ring
  // still has what came then.
  Reader Open(SlotSet slots, uint64_t resume_after, uint64_t incarnation) ABSL_LOCKS_EXCLUDED(mu_);
  void Close(const Reader& reader) ABSL_LOCKS_EXCLUDED(mu_);

  // Writes the reader's next WatchResponse, serialised, without a header. False, and nothing is
  // written, when there is no event for it; with `alive` it gets a message all the same.
  bool Read(Reader* reader, bool alive, std::string* message) ABSL_LOCKS_EXCLUDED(mu_);

  WatchStats Stats() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static constexpr uint32_t kEverySlot = kSlotCount;
  static constexpr size_t kRecent = 4096;
  // After a fence its readers are told how far all is told: after this time, then after three times
  // as long, and so on up to the longest, which is below the time between two signs of life.
  static constexpr absl::Duration kFirstSettle = absl::Milliseconds(20);
  static constexpr absl::Duration kLongestSettle = absl::Milliseconds(540);

  struct Event {
    uint32_t slot;        // Or kEverySlot.
    std::string encoded;  // A field `events` of WatchResponse.
  };

  // Numbers a change, unless it was told for good. Its echo, if known, is then none.
  enum class Echo : bool { kKnown, kUnknown };
  void TellChange(uint32_t slot, std::string_view name_space, std::string_view key, Version version,
                  Echo echo) ABSL_LOCKS_EXCLUDED(mu_);
  void TellGap(uint32_t slot, bool ended) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives `scratch_` the next number.
  void Append(uint32_t slot) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Trim() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nobody has followed for a whole ring: from now on nothing is kept.
  void Rest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Tell() const {
    if (listener_ != nullptr) listener_();
  }

  const WatchHubOptions options_;
  const Clock& clock_;
  std::function<void()> listener_;
  std::atomic<bool> recording_{false};
  std::array<std::atomic<bool>, kSlotCount> followed_ = {};  // Changed under mu_.

  mutable absl::Mutex mu_;
  // The events with the numbers last_ - ring_.size() + 1 to last_.
  std::deque<Event> ring_ ABSL_GUARDED_BY(mu_);
  size_t ring_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t last_ ABSL_GUARDED_BY(mu_) = 1;
  size_t unread_ ABSL_GUARDED_BY(mu_) = 0;  // Events since the last reader has left.
  absl::Duration complete_ ABSL_GUARDED_BY(mu_) = absl::ZeroDuration();
  // Readers are told next when complete_ is here; infinite: there was no fence of late.
  absl::Duration settle_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteDuration();
  absl::Duration settle_step_ ABSL_GUARDED_BY(mu_) = absl::ZeroDuration();
  uint64_t settles_ ABSL_GUARDED_BY(mu_) = 0;
  // Hashes of changes by their remainder: so that the log's echo of an own write is known.
  std::array<uint64_t, kRecent> recent_ ABSL_GUARDED_BY(mu_) = {};
  cache::v1::WatchEvent scratch_ ABSL_GUARDED_BY(mu_);
  WatchStats stats_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_WATCH_HUB_H_
