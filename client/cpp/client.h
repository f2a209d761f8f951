// Client is the cache of one region as a C++ program uses it:
//
//   auto client = meridian::Client::Create({.targets = {"127.0.0.1:7400"}});
//   meridian::GetResult task = (*client)->Get("task", "task:42");
//   if (task.hit()) Use(task.value);
//
// Promise: every call ends by its deadline, and every entry says for itself what became of it; a
//   failure is a result, never an exception. Calls go straight to the node that owns the key,
//   batches to all owners in parallel, answers come in the order of the request. What fails because
//   a node is away is tried once on another node (any node answers for any key), except a
//   conditional write that may have happened: that ends with the reason OUTCOME_UNKNOWN.
// Cost: one connection a node. A batch copies each key once, values never.
// Thread safety: all methods may be called concurrently; make one Client a process. Callbacks run
//   once each and must not block: use the callback forms inside them. They run on a thread of the
//   client's; for a call that has nothing to send (refused, or an empty batch) on the caller's,
//   before the call returns; so does a Get that the near cache answers. The destructor waits for
//   the calls in flight; it must not run in a callback.

#ifndef MERIDIAN_CLIENT_CPP_CLIENT_H_
#define MERIDIAN_CLIENT_CPP_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cpp/client_options.h"
#include "common/base/version.h"

namespace meridian {

enum class ResultStatus : uint8_t {
  kOk,        // Get: found. Set, Touch, Invalidate: done.
  kMiss,      // Get: nobody has it. Touch: no such entry. A normal answer.
  kConflict,  // Set: if_absent, expected_version or the lease did not hold; nothing changed.
  kError,     // `error` says why.
  kBypassed,  // Set: the namespace does not cache such keys. Not an error.
};

// Which tier answered.
enum class ResultSource : uint8_t { kNone, kL1, kL2, kOrigin, kNear };

struct ResultError {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string reason = {};   // Stable, UPPER_SNAKE_CASE: docs/wire.md lists all.
  std::string message = {};  // For people.
  std::string field = {};    // Of the request, when one was wrong.
  absl::Duration retry_after = absl::ZeroDuration();  // 0: not said.
};

struct GetResult {
  ResultStatus status = ResultStatus::kError;
  ResultSource source = ResultSource::kNone;
  bool stale = false;  // Past its TTL, and the caller allowed it.
  std::string value = {};
  Version version = {};  // Not set on a miss.
  absl::Duration ttl = absl::ZeroDuration();
  absl::Duration age = absl::ZeroDuration();
  // With want_lease, on a miss or a stale value: the right to fill the key, for SetOptions::lease.
  std::string lease = {};
  // On a miss without a lease: somebody else fills the key. Without either, no lease was to be had:
  // too many are out, or the key's owner is away.
  bool lease_taken = false;
  std::shared_ptr<const ResultError> error = nullptr;  // Set exactly when status is kError.

  bool hit() const { return status == ResultStatus::kOk; }
};

struct WriteResult {
  ResultStatus status = ResultStatus::kError;
  bool degraded = false;  // Only L1 has it, because the regional Redis is away.
  // Set with depends_on: what it depends on through others is more than an entry can know, or could
  // not be read. What it names itself it does know.
  bool dependencies_cut = false;
  // Set with depends_on: a key that it depends on was not in the cache, so what that was made of is
  // not known.
  bool dependencies_unknown = false;
  Version version = {};  // kOk: of this write. kConflict: the stored one, if there is one.
  std::vector<std::string> replicated_regions = {};  // In namespaces that replicate synchronously.
  // Of InvalidateCascade, -Tag, -Prefix and -Namespace: nodes of the region that did not say in
  // time that they know of it, and may serve what is dead until they read it in the regional Redis.
  std::vector<std::string> unconfirmed_nodes = {};
  // Set exactly when status is kError, and with a kConflict of a lease.
  std::shared_ptr<const ResultError> error = nullptr;

  bool ok() const { return status == ResultStatus::kOk; }
};

// What the near cache does, since the client began. All zero when there is none.
struct NearStats {
  uint64_t hits = 0;
  uint64_t fills = 0;            // Values that were kept.
  uint64_t changes = 0;          // That nodes have told.
  uint64_t dropped_slots = 0;    // Slots whose values were given up: moved, or events lost.
  uint64_t streams = 0;          // To nodes, opened.
  uint64_t resumed_streams = 0;  // That went on without a loss.
  size_t followed_slots = 0;     // Now, of 1024.
  size_t entries = 0;
  size_t bytes = 0;
};

using GetCallback = std::function<void(GetResult)>;
using WriteCallback = std::function<void(WriteResult)>;
using BatchGetCallback = std::function<void(std::vector<GetResult>)>;
using BatchWriteCallback = std::function<void(std::vector<WriteResult>)>;

class Client {
 public:
  // Returns kInvalidArgument for bad options. Does not wait for the network: until the topology is
  // known, calls go to any target.
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Waits until the topology is known; kUnavailable when it is not within `timeout`.
  absl::Status WaitUntilReady(absl::Duration timeout);

  NearStats near_stats() const;

  // Keys and values of a request are copied or moved before the call returns.
  GetResult Get(std::string_view name_space, std::string_view key, const GetOptions& options = {});
  void Get(std::string_view name_space, std::string_view key, const GetOptions& options,
           GetCallback done);

  WriteResult Set(std::string_view name_space, std::string_view key, std::string value,
                  const SetOptions& options = {});
  void Set(std::string_view name_space, std::string_view key, std::string value,
           const SetOptions& options, WriteCallback done);

  // Deletes a key; kOk whether or not it existed.
  WriteResult Invalidate(std::string_view name_space, std::string_view key,
                         const CallOptions& options = {});
  void Invalidate(std::string_view name_space, std::string_view key, const CallOptions& options,
                  WriteCallback done);

  // Deletes a key, and kills every entry that depends on it (SetOptions::depends_on) and was
  // written before the call, as InvalidateTag does. When it fails, the key may be deleted and what
  // depends on it may not be dead: call again.
  WriteResult InvalidateCascade(std::string_view name_space, std::string_view key,
                                const CallOptions& options = {});
  void InvalidateCascade(std::string_view name_space, std::string_view key,
                         const CallOptions& options, WriteCallback done);

  // Kills every entry of the namespace that was written before the call and has the tag, or whose
  // key begins with the prefix (which must end with a ':'), or all of them. Effective in the whole
  // region when it returns, in other regions as a write is. Costs the same however many there are;
  // what is written afterwards lives.
  WriteResult InvalidateTag(std::string_view name_space, std::string_view tag,
                            const CallOptions& options = {});
  void InvalidateTag(std::string_view name_space, std::string_view tag, const CallOptions& options,
                     WriteCallback done);
  WriteResult InvalidatePrefix(std::string_view name_space, std::string_view prefix,
                               const CallOptions& options = {});
  void InvalidatePrefix(std::string_view name_space, std::string_view prefix,
                        const CallOptions& options, WriteCallback done);
  WriteResult InvalidateNamespace(std::string_view name_space, const CallOptions& options = {});
  void InvalidateNamespace(std::string_view name_space, const CallOptions& options,
                           WriteCallback done);

  // Gives an entry a new TTL, counted from now; kMiss when there is none.
  WriteResult Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
                    const CallOptions& options = {});
  void Touch(std::string_view name_space, std::string_view key, absl::Duration ttl,
             const CallOptions& options, WriteCallback done);

  // Any number of entries of one namespace; result i answers key i. Of a key that a BatchSet
  // repeats the last value wins, if it has at most 1000 entries; otherwise any of them.
  std::vector<GetResult> BatchGet(std::string_view name_space,
                                  std::span<const std::string_view> keys,
                                  const GetOptions& options = {});
  void BatchGet(std::string_view name_space, std::span<const std::string_view> keys,
                const GetOptions& options, BatchGetCallback done);

  std::vector<WriteResult> BatchSet(std::string_view name_space, std::vector<SetItem> items,
                                    const CallOptions& options = {});
  void BatchSet(std::string_view name_space, std::vector<SetItem> items, const CallOptions& options,
                BatchWriteCallback done);

  std::vector<WriteResult> BatchInvalidate(std::string_view name_space,
                                           std::span<const std::string_view> keys,
                                           const CallOptions& options = {});
  void BatchInvalidate(std::string_view name_space, std::span<const std::string_view> keys,
                       const CallOptions& options, BatchWriteCallback done);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_CPP_CLIENT_H_
