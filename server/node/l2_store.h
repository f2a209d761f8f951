// L2Store is the regional store as the node sees it: versioned records under (namespace, key), and
// a changelog for every slot. server/l2/redis_store.h implements it on Redis; NoL2 (no_l2.h) is its
// absence; tests/support/fake_l2_store.h is a small real one. tests/contract runs one suite on
// both.
//
// Promise: every callback is called exactly once, also at shutdown, with a status per entry; on the
//   store's own thread, or on the caller's stack when nothing could be sent. It must not block.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_L2_STORE_H_
#define MERIDIAN_SERVER_NODE_L2_STORE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/version.h"

namespace meridian {

// A key in L2. Owns its bytes: it outlives the request's stack.
struct L2Key {
  uint32_t slot = 0;
  std::string name_space;
  std::string key;
};

// What is stored under one key: the record's bytes (see record.h), empty when there is none.
// Expired values and tombstones are records too; the caller looks.
struct L2Record {
  absl::Status
      status;  // kUnavailable, kDeadlineExceeded, kResourceExhausted (reply too large), ...
  Buffer record;
  // A replica answered, whose primary could not be reached: the primary may have something newer,
  // or nothing, which was told before. It may be answered, and is kept by nobody.
  bool from_replica = false;
};

enum class L2WriteKind : uint8_t {
  kPut,    // Stores `record` (a value or a tombstone) if its version is newer.
  kTouch,  // Gives a live value a new version and expiry; no record is sent.
};

// The condition under which a write happens, judged in the same script.
enum class L2Condition : uint8_t { kNone, kIfAbsent, kIfVersion };

struct L2Write {
  L2Key key;
  L2WriteKind kind = L2WriteKind::kPut;
  Version version;
  absl::Time expires_at;     // Of the value; of a tombstone: when it may be forgotten.
  // PX of the Redis key: >= the remaining TTL. > 0; infinite: none. A tombstone that is kept for
  // longer than kEvictableRetention has none either, so that it is not evicted; see SweepTombstones.
  absl::Duration retention;
  bool evictable = false;    // Of a tombstone: it has one all the same; a full store may forget it.
  std::string record;        // kPut: AppendRecord's bytes, with the same version and expiry.
  L2Condition condition = L2Condition::kNone;
  Version expected_version;  // kIfVersion.
  // Of conditions and touches: a value whose clock is not above this is dead by a fence. 0: none.
  uint64_t fenced_hlc = 0;
  // kPut: false leaves the changelog as it is: for what other regions and other nodes need not know.
  bool logged = true;
};

enum class L2WriteOutcome : uint8_t {
  kApplied,   // Stored, and appended to the slot's changelog.
  kStale,     // Something as new or newer is stored; `stored` is its version. Nothing changed.
  kConflict,  // The condition does not hold; `stored` is the stored live version, unset when
              // absent.
  kAbsent,    // kTouch: there is no live value.
};

struct L2WriteResult {
  absl::Status
      status;  // Not OK: unknown outcome when kDeadlineExceeded or kUnavailable after sending.
  L2WriteOutcome outcome = L2WriteOutcome::kApplied;
  Version stored;  // See L2WriteOutcome; for kApplied the written version.
};

// A position in the changelog of one slot: Redis' stream id. {0, 0} is before the first entry.
struct LogPosition {
  uint64_t ms = 0;
  uint64_t sequence = 0;
  friend auto operator<=>(const LogPosition&, const LogPosition&) = default;
};

// One change. version.region is the region where it was written.
struct LogEntry {
  LogPosition position;
  Version version;
  std::string name_space;
  std::string key;
  // What was written is a tombstone that is not evicted: it must be remembered as long.
  bool removal = false;
};

struct LogRead {
  uint32_t slot = 0;
  LogPosition after;
};

struct LogSlice {
  uint32_t slot = 0;
  std::vector<LogEntry> entries;  // Ascending; never empty in an answer.
};

// What a slot's changelog takes; bytes as the store estimates them.
struct LogSize {
  uint64_t entries = 0;
  uint64_t bytes = 0;
};

// How many entries of a changelog are to be left.
struct LogTrim {
  uint32_t slot = 0;
  uint64_t entries = 0;
};

// A tombstone that is kept for longer must not be forgotten earlier: what it stands against may come
// from a region that was cut off.
inline constexpr absl::Duration kEvictableRetention = absl::Minutes(1);

struct TombstoneUse {
  uint64_t bytes = 0;      // 0: no tombstone.
  bool evictable = false;  // A store that is full may forget it, as it may a value.
};

// Some keys of the store, in no order.
struct L2ScanPage {
  std::vector<L2Key> keys;
  std::string next;  // Where to go on; empty: that was the last page.
};

// One server of the store.
struct L2Endpoint {
  std::string address;
  bool connected = false;
  std::string breaker = "closed";  // Its own circuit breaker.
  int connections = 0;             // That are open now.
  std::string problem;             // For people; empty: none.
};

// One of the sentinels that say which server it is.
struct L2Sentinel {
  std::string address;
  std::string problem;  // Why it is of no use now; empty: it answers, and is believed.
};

// How the store is, for status pages and for decisions that must be made before sending.
struct L2Health {
  bool configured = true;
  bool connected = false;
  std::string breaker = "closed";  // "closed", "open", "half_open": the worst of the endpoints.
  std::string address;             // Without credentials.
  std::string problem;             // For people; empty: none.
  std::vector<L2Endpoint> endpoints;
  std::vector<L2Sentinel> sentinels;
};

class L2Store {
 public:
  using FetchCallback = std::function<void(std::vector<L2Record>)>;       // In order of the keys.
  using ApplyCallback = std::function<void(std::vector<L2WriteResult>)>;  // In order of the writes.
  using LogCallback = std::function<void(absl::StatusOr<std::vector<LogSlice>>)>;
  using PositionsCallback = std::function<void(absl::StatusOr<std::vector<LogPosition>>)>;
  using CountCallback = std::function<void(absl::StatusOr<uint64_t>)>;

  using ScanCallback = std::function<void(absl::StatusOr<L2ScanPage>)>;
  using TimeCallback = std::function<void(absl::StatusOr<absl::Time>)>;
  using VersionsCallback = std::function<void(absl::StatusOr<std::vector<Version>>)>;

  using FencesCallback = std::function<void(absl::StatusOr<std::vector<LogEntry>>)>;
  using StatusCallback = std::function<void(absl::Status)>;
  using LogSizesCallback = std::function<void(absl::StatusOr<std::vector<LogSize>>)>;
  using TombstonesCallback = std::function<void(absl::StatusOr<std::vector<TombstoneUse>>)>;

  virtual ~L2Store() = default;

  // Reads records, pipelined. After `deadline` what is missing is kDeadlineExceeded.
  virtual void Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) = 0;

  // As Fetch, but never from a replica, which may not have the last changes: for those to whom it
  // matters that nothing is there.
  virtual void FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                                FetchCallback callback) {
    Fetch(std::move(keys), deadline, std::move(callback));
  }

  // Applies writes: each key atomically, in order, with its changelog entry.
  virtual void Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) = 0;

  // Changes after each position, at most `limit` a slot; slots without any are left out.
  virtual void ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                        LogCallback callback) = 0;

  // A number that differs from an earlier answer whenever a changelog has grown since, so that a
  // follower that has read everything need not read again; 0: not known, read. Much cheaper than
  // ReadLogs of many slots, which is why followers ask it first.
  virtual void ChangeCount(absl::Time deadline, CountCallback callback) { callback(uint64_t{0}); }

  // The last position that each slot's changelog ever had, whatever was trimmed; {0,0} for one that
  // is not there. In order of `slots`.
  virtual void LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
                       PositionsCallback callback) = 0;

  // Cursors: how far the changes of `source_region` were applied to THIS store, by slot.
  virtual void FetchCursors(std::string source_region, std::vector<uint32_t> slots,
                            absl::Time deadline, PositionsCallback callback) = 0;

  // Applies another region's changes of one slot (no conditions; kStale is fine) and moves the
  // cursor of `source_region` to `cursor` (never back) in the same script. Several calls are
  // pipelined.
  virtual void ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                               std::vector<L2Write> writes, absl::Time deadline,
                               ApplyCallback callback) = 0;

  // Walks through all keys of the store, `count` or so at a time; `from` is empty at first and then
  // the last page's `next`. A key that is there all the time comes at least once; others may come.
  // A walk cannot go on in a store that was restarted meanwhile: begin anew after an error.
  virtual void Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) = 0;

  // The version of each key's record, dead or alive; not set where there is none. In order of
  // `keys`. Much cheaper than Fetch: no value is moved.
  virtual void FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                             VersionsCallback callback) = 0;

  // The keys and versions of the fences that a slot of FenceSlots holds; positions are not set. The
  // store lists them as they are applied, so that nobody need read the whole changelog.
  virtual void ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) {
    callback(absl::UnavailableError("this store lists no fences"));
  }

  // Removes fences that others make superfluous, those that still have the version given. Not a
  // change: nobody is told.
  virtual void ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                            StatusCallback callback) {
    callback(absl::UnavailableError("this store lists no fences"));
  }

  // What the changelogs of the slots take, in order of `slots`.
  virtual void MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                           LogSizesCallback callback) {
    callback(absl::UnavailableError("this store does not measure"));
  }

  // Forgets the oldest entries of changelogs until about so many are left.
  virtual void TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) {
    callback(absl::UnavailableError("this store does not measure"));
  }

  // Looks after tombstones, by the store's own clock: those that have expired are removed, which is
  // no change, and those that are older than `evictable_after` may be evicted from now on. What each
  // key that holds one takes, about, in order of `keys`.
  virtual void SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after,
                               absl::Time deadline, TombstonesCallback callback) {
    callback(absl::UnavailableError("this store does not measure"));
  }

  // The store's wall clock, so that a node learns whether its own is right.
  virtual void ServerTime(absl::Time deadline, TimeCallback callback) {
    callback(absl::UnavailableError("this store has no clock"));
  }

  virtual L2Health Health() const = 0;

  // Slots whose server is known to be away (no connection, or its circuit is open) while others are
  // there: a call that names one of them fails, or waits, as a whole. Ascending; empty when all of
  // the store is there, or nothing of it. Cost: a lock a server.
  virtual std::vector<uint32_t> AwaySlots() const { return {}; }

  // A number that grows whenever acknowledged changes may have gone from the store: a server took
  // over that may lack the last ones (a failover), or came back from a restart with what it had
  // saved. It has grown before the first answer that such a server gives. 0: never, as far as this
  // store saw. GenerationOf: the number at which that last happened to the slot. Cost: one load;
  // GenerationOf takes a lock.
  virtual uint64_t Generation() const { return 0; }
  virtual uint64_t GenerationOf(uint32_t slot) const { return 0; }
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_L2_STORE_H_
