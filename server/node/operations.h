// What a node is asked and what it answers, apart from any wire format: reads and writes of one
// namespace, in batches; a single call is a batch of one.
//
// Views in a request point into memory of the caller, who keeps it until the callback has run.

#ifndef MERIDIAN_SERVER_NODE_OPERATIONS_H_
#define MERIDIAN_SERVER_NODE_OPERATIONS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/version.h"
#include "common/engine/entry.h"
#include "common/rpc/error.h"
#include "server/node/slot_policies.h"

namespace meridian {

// Which tier answered; the numbers of cache.v1.Source.
enum class Tier : uint8_t { kNone = 0, kL1 = 1, kL2 = 2, kOrigin = 3 };

// The outcome of one entry; the numbers of cache.v1.EntryStatus.
enum class EntryState : uint8_t { kOk = 1, kMiss = 2, kConflict = 3, kError = 4 };

// Who asks: a client, whose keys may belong to anybody; or a peer that thinks they are ours, and
// whose request we never forward.
enum class Caller : uint8_t { kClient, kPeer };

struct ReadOptions {
  bool force_refresh = false;
  bool omit_value = false;
  bool accept_encoded = false;  // Values may come as they are stored.
  bool with_tags = false;
  bool want_lease = false;  // On a miss: the right to fill the key, or wait for who has it.
  absl::Duration lease_wait = absl::InfiniteDuration();  // How long; at most until the deadline.
  absl::Duration max_stale;
  // Nobody waits for the read: it counts as no hit and no miss, and what it brings into L1 is
  // followed as this source's. Empty: it is somebody's.
  std::string_view warm_source = {};
};

struct ReadRequest {
  std::string_view name_space;
  std::vector<std::string_view> keys;  // Checked against the limits already.
  ReadOptions options;
  absl::Time deadline;
  std::string_view request_id;
  Caller caller = Caller::kClient;
  // The namespace's, which the keys were formed by; null: those in force.
  const SlotPolicies* policies = nullptr;
};

struct ReadResult {
  EntryState state = EntryState::kMiss;
  Tier tier = Tier::kNone;
  Encoding encoding = Encoding::kIdentity;
  bool stale = false;
  bool not_kept = false;  // Of a read that warms: its owner does not have it in L1 now.
  bool fleeting = false;  // Of a replica: something newer may be known already; nobody keeps it.
  uint32_t raw_size = 0;
  Version version;
  Buffer value;
  absl::Duration ttl;
  absl::Duration age;
  Buffer tags;                   // With with_tags; as Entry::tags.
  uint64_t written = 0;          // The same; as Entry::written.
  std::string lease;             // kMiss, or a stale value: the caller may fill the key.
  bool lease_taken = false;      // kMiss: somebody else may.
  std::unique_ptr<Error> error;  // Only with kError.
};

enum class WriteKind : uint8_t { kSet, kInvalidate, kTouch };

// What a Set with a lease does with it.
enum class LeaseUse : uint8_t {
  kFill,      // Stores the value.
  kAbsent,    // Says that there is none.
  kGiveBack,  // Nothing: the next one may have it.
};

struct WriteItem {
  WriteKind kind = WriteKind::kSet;
  std::string_view key;
  std::string_view value;
  absl::Duration ttl;  // 0: by policy.
  std::vector<std::string> tags;
  std::vector<std::string> depends_on;  // As kKeyDependency and kTagDependency say.
  std::string_view state_hint;          // A word about the value for the TTL policy.
  bool if_absent = false;
  Version expected_version;  // Set: write only if exactly this is stored.
  std::string_view lease;    // Set: a LeaseToken; the write gets its version, once.
  LeaseUse lease_use = LeaseUse::kFill;
  // Set: what is stored gets it; as Entry::written. Never from outside.
  uint64_t written = 0;

  bool conditional() const { return if_absent || expected_version.is_set(); }
};

struct WriteRequest {
  std::string_view name_space;
  std::vector<WriteItem> items;  // Checked against the limits already.
  absl::Time deadline;
  std::string_view request_id;
  Caller caller = Caller::kClient;
  const SlotPolicies* policies = nullptr;  // As in ReadRequest.
};

struct WriteResult {
  EntryState state = EntryState::kOk;
  Version version;  // kOk: of this write. kConflict: the stored one, if any.
  bool degraded = false;
  bool dependencies_cut = false;      // Not all that the entry inherits is among its tags.
  bool dependencies_unknown = false;  // Some of it hangs on a key that was not stored.
  std::vector<std::string> replicated_regions;  // Namespaces with ReplicationMode::kSync.
  std::unique_ptr<Error> error;                 // With kError, and with a kConflict of a lease.
};

// Called exactly once, with one result for each key or item, in their order.
using ReadCallback = std::function<void(std::vector<ReadResult>)>;
using WriteCallback = std::function<void(std::vector<WriteResult>)>;

inline void SetError(Error error, ReadResult* result) {
  result->state = EntryState::kError;
  result->error = std::make_unique<Error>(std::move(error));
}
inline void SetError(Error error, WriteResult* result) {
  result->state = EntryState::kError;
  result->error = std::make_unique<Error>(std::move(error));
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_OPERATIONS_H_
