// SlotRefill reads the digests of slots that the node has gained, and brings the keys that they
// name from L2 into L1, the hottest of all slots first.
//
// Promise: a digest is read as soon as the slot is owned; its keys are read only once the
//   changelog's tail follows the slot, because its L1 is dropped at that moment and what comes
//   later is kept true. No more than keys_per_second and bytes_per_second are read, one batch at a
//   time; nothing is evicted for them. While L2 does not answer, it is asked again, less and less
//   often; what is late is asked for in smaller batches. A key is given up when it failed kAttempts
//   times while others came, or alone after all others; all of them, when L1 is full and nothing
//   has been freed in it for kReclaim.
// Cost: 16 bytes a key that waits; a batch of kBatchBytes in memory, or of one value, or more when
//   values are much larger than those of the batch before.
// Thread safety: counters() may be read by any thread; the rest runs behind the gate.

#ifndef MERIDIAN_SERVER_REFILL_SLOT_REFILL_H_
#define MERIDIAN_SERVER_REFILL_SLOT_REFILL_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/refill/heat_table.h"
#include "server/refill/key_refill.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct SlotRefillOptions {
  double keys_per_second = 5000;  // 0: off; every slot is known at once, and no key is read.
  double bytes_per_second = 64 << 20;
  size_t digests_at_once = 64;
  absl::Duration tick = absl::Milliseconds(20);
  absl::Duration timeout = absl::Seconds(1);  // Of one call of L2.
  BackoffOptions backoff{.initial = absl::Milliseconds(50), .max = absl::Seconds(1)};
  uint64_t seed = 0;
};

// The key under which the digest of a slot is saved.
L2Key HeatKeyOf(uint32_t slot);

class SlotRefill {
 public:
  static constexpr int kAttempts = 3;
  static constexpr size_t kMaxBatch = 200;
  static constexpr size_t kBatchBytes = size_t{4} << 20;
  // What a hole or a fence has killed is freed within some seconds, and counts until then.
  static constexpr absl::Duration kReclaim = absl::Seconds(3);

  using Counters = std::array<std::atomic<uint64_t>, kRefillOutcomes>;
  // Told how long it took until all that was gained was settled, since the first slot of it.
  using Settled = std::function<void(absl::Duration took, uint64_t filled)>;

  // References outlive this; all but `options` and `settled` are also used by others.
  SlotRefill(SlotRefillOptions options, KeyRefill& keys, L2Store& l2, HeatTable& table,
             TaskGate gate, const Clock& clock, Settled settled);

  void SetOwned(const std::vector<uint32_t>& slots);
  // The tail follows the slot from now on, or begins anew with it: its L1 was dropped just now.
  void Followed(uint32_t slot);
  void Lost(uint32_t slot);

  // Keys since the start, by RefillOutcome.
  const Counters& counters() const { return counters_; }

 private:
  // A key that waits: `place` of the digest of a slot.
  struct Item {
    uint64_t generation;
    uint32_t place;
    uint16_t slot;
    uint8_t weight;
    uint8_t attempts;
    bool operator<(const Item& other) const {
      return attempts != other.attempts ? attempts > other.attempts : weight < other.weight;
    }
  };

  void FetchDigests();
  void TakeDigests(const std::vector<uint32_t>& slots, const std::vector<L2Record>& records);
  void Enqueue(uint32_t slot);
  void Push(Item item);
  // The hottest of those that failed least often; nullopt: nothing waits.
  std::optional<Item> Pop();
  void PumpAfter(absl::Duration delay);
  void Pump();
  void Take(const std::vector<Item>& items, const RefillBatch& batch);
  // What the next batch may be, for what the last ones were.
  void Learn(const RefillBatch& batch, bool late);
  // L1 is full: whether it may become less so.
  bool IsBeingFreed();
  // Nothing more fits: what waits does so in vain.
  void GiveUpAll();
  void Count(const Item& item, RefillOutcome outcome);
  void TellSettled();
  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }

  const SlotRefillOptions options_;
  KeyRefill& keys_;
  L2Store& l2_;
  HeatTable& table_;
  const TaskGate gate_;
  const Clock& clock_;
  const Settled settled_;

  uint32_t asked_last_ = 0;  // Slot of the last digest that was asked for.
  bool fetching_ = false;    // Digests are asked for, or will be.
  bool pumping_ = false;     // A batch is under way, or will be.
  std::vector<Item> heap_;
  double tokens_ = 0;              // Keys that may be read now.
  double byte_debt_ = 0;           // Bytes that were read faster than they may be.
  size_t most_ = kMaxBatch;        // Keys of a batch, for what was late.
  double value_bytes_ = 16 << 10;  // Of a key, as the last batches had it.
  absl::Duration pumped_at_;
  std::optional<size_t> full_at_;        // The fewest entries of L1 since it is full,
  absl::Duration freed_at_;              // and since when it has not had fewer.
  std::optional<absl::Duration> began_;  // Since when something is not settled.
  uint64_t filled_ = 0;                  // Since then.
  Backoff fetch_backoff_;
  Backoff pump_backoff_;
  std::minstd_rand random_;  // Only spreads retries.
  Counters counters_{};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_SLOT_REFILL_H_
