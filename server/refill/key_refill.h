// KeyRefill copies keys that this node owns from L2 into L1, for nobody who waits: after a change
// of owners, so that the next reads are hits.
//
// Promise: all that holds for a read that missed holds here, too. Every key is watched from before
//   L2 is asked, so a write, a delete, a fence or a change of owner that comes meanwhile is not
//   overtaken; what waits for L2 in the hint log is newer and stays. No origin is asked, no lease
//   given, no counter of a namespace moves, and nothing is evicted: L1 is filled to kFullShare of
//   its bounds at most, and so is a pool.
// Cost: one Fetch of the batch; the values pass through memory once.
// Thread safety: Run may be called concurrently.

#ifndef MERIDIAN_SERVER_REFILL_KEY_REFILL_H_
#define MERIDIAN_SERVER_REFILL_KEY_REFILL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/engine/entry.h"
#include "common/engine/fill_token.h"
#include "server/node/l2_store.h"
#include "server/node/namespaces.h"
#include "server/node/node_context.h"
#include "server/node/record.h"

namespace meridian {

// What became of a key. Text: RefillOutcomeName.
enum class RefillOutcome : uint8_t {
  kFilled,
  kResident,  // L1 had it.
  kGone,      // L2 has no live value of it, or no record that can be read.
  kRefused,   // It may not go into L1: by the policy, or something newer came meanwhile.
  kNoRoom,    // Something would have to be evicted for it.
  kFailed,    // L2 has refused to read it, and would again.
  kError,     // L2 did not answer: later, again.
  kLate,      // L2 did not answer in time: less at once, again.
};
inline constexpr size_t kRefillOutcomes = 8;

const char* RefillOutcomeName(RefillOutcome outcome);

// What became of some keys that were asked for together.
struct RefillBatch {
  std::vector<RefillOutcome> outcomes;  // In order of the keys.
  size_t bytes = 0;                     // That L2 has sent.
};

class KeyRefill {
 public:
  using Done = std::function<void(RefillBatch)>;

  // The rest is for what reads and writes bring meanwhile, and for shards that fill unevenly.
  static constexpr double kFullShare = 0.95;

  // `context` is not owned and outlives every callback.
  explicit KeyRefill(const NodeContext& context) : context_(context) {}

  // Whether this node can tell now what is alive in L2. While it cannot, everything is refused.
  bool CanJudge() const;
  // Whether L1 has room for `bytes` more without an eviction.
  bool HasRoom(size_t bytes) const;
  // Of L1, with those that are dead and not freed yet, which HasRoom counts as well.
  size_t entries() const { return context_.engine.entries(); }
  // Whether L1 has a live entry of the key.
  bool IsResident(std::string_view name_space, std::string_view key) const;

  // Calls `done` once, on the store's thread or before it returns.
  void Run(std::vector<L2Key> keys, absl::Duration timeout, Done done);

  // Puts a record into L1 that is as new as what L2 had at some time after `token` was made. `ttl`:
  // what is left of its life; `value`: its stored bytes. Asks whoever else may know better: the
  // hint log, fences, the policy.
  RefillOutcome Put(const Namespace& name_space, const EntryKey& key, const Record& record,
                    absl::Duration ttl, const Buffer& value, const FillToken& token);

 private:
  struct Batch;

  RefillOutcome Take(const Batch& batch, size_t i, const L2Record& stored);
  // A write that waits for L2 is newer, and was put into L1 if it may be there.
  bool WaitsForL2(std::string_view name_space, std::string_view key) const;
  // As HasRoom, and in the entry's pool.
  bool HasRoom(const Namespace& name_space, const NamespacePolicy& policy, size_t key_size,
               const Entry& entry) const;
  RefillOutcome PutIn(const Batch& batch, size_t i, const L2Record& stored);

  const NodeContext& context_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REFILL_KEY_REFILL_H_
