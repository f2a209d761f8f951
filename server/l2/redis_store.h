// RedisStore is the L2Store on a Redis (6.2 or newer) of any shape that a RedisRoute knows.
//
// Writes go through scripts/apply.lua: a batch is one script call for every max_keys_per_call keys
// (Redis Cluster: for every slot), pipelined in order on one connection. Reads are MGETs on
// another. What a write that failed with kUnavailable or kDeadlineExceeded did is unknown;
// repeating it with the same version is safe. Promise, thread safety: those of L2Store. REQUIRES:
// not destroyed on the loop, nor during a call.

#ifndef MERIDIAN_SERVER_L2_REDIS_STORE_H_
#define MERIDIAN_SERVER_L2_REDIS_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/redis_plan.h"
#include "server/l2/redis_route.h"
#include "server/l2/usage_replies.h"
#include "server/node/l2_store.h"
#include "server/node/l2_usage.h"

namespace meridian {

struct RedisStoreOptions {
  RedisClientOptions client;
  uint64_t max_log_length = 100'000;            // Of each slot's changelog, approximately.
  size_t max_keys_per_call = 128;               // So that no script or MGET holds Redis for long.
  size_t max_bytes_per_call = size_t{1} << 20;  // Of records; a larger record goes alone.

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

class RedisStore final : public L2Store, public L2UsageSource {
 public:
  // Begins to connect and returns at once; a Redis that is down is no error here.
  // `observer` may be nullptr. References outlive the store.
  static absl::StatusOr<std::unique_ptr<RedisStore>> Create(EventLoop& loop,
                                                            RedisStoreOptions options,
                                                            const Clock& clock,
                                                            L2Observer* observer);

  void Fetch(std::vector<L2Key> keys, absl::Time deadline, FetchCallback callback) override;
  void FetchFromPrimary(std::vector<L2Key> keys, absl::Time deadline,
                        FetchCallback callback) override;
  void Apply(std::vector<L2Write> writes, absl::Time deadline, ApplyCallback callback) override;
  void ReadLogs(std::vector<LogRead> reads, size_t limit, absl::Time deadline,
                LogCallback callback) override;
  void ChangeCount(absl::Time deadline, CountCallback callback) override;
  void LogEnds(std::vector<uint32_t> slots, absl::Time deadline,
               PositionsCallback callback) override;
  void FetchCursors(std::string source_region, std::vector<uint32_t> slots, absl::Time deadline,
                    PositionsCallback callback) override;
  // The cursor stays where it is when a write failed for a reason that may pass (anything but a key
  // of a foreign type); the results say so. What is too much for one script goes in parts, one
  // after the other: what was to follow a part that failed is not sent, and has the status of the
  // write that failed. It says what the store refuses, to who asks what to do about the call.
  void ApplyReplicated(std::string source_region, uint32_t slot, LogPosition cursor,
                       std::vector<L2Write> writes, absl::Time deadline,
                       ApplyCallback callback) override;
  void Scan(std::string from, size_t count, absl::Time deadline, ScanCallback callback) override;
  void FetchVersions(std::vector<L2Key> keys, absl::Time deadline,
                     VersionsCallback callback) override;
  void ListFences(uint32_t slot, absl::Time deadline, FencesCallback callback) override;
  void ForgetFences(uint32_t slot, std::vector<LogEntry> fences, absl::Time deadline,
                    StatusCallback callback) override;
  void MeasureLogs(std::vector<uint32_t> slots, absl::Time deadline,
                   LogSizesCallback callback) override;
  void TrimLogs(std::vector<LogTrim> trims, absl::Time deadline, StatusCallback callback) override;
  void SweepTombstones(std::vector<L2Key> keys, absl::Duration evictable_after, absl::Time deadline,
                       TombstonesCallback callback) override;
  void ServerTime(absl::Time deadline, TimeCallback callback) override;
  void FetchUsage(absl::Time deadline, UsageCallback callback) override;
  L2Health Health() const override;
  std::vector<uint32_t> AwaySlots() const override { return route_->AwaySlots(); }
  uint64_t Generation() const override { return route_->generations().newest(); }
  uint64_t GenerationOf(uint32_t slot) const override { return route_->generations().Of(slot); }

 private:
  struct FetchCall;
  struct ReplicateCall;

  RedisStore(RedisStoreOptions options, const Clock& clock, std::unique_ptr<RedisRoute> route)
      : options_(std::move(options)), clock_(clock), route_(std::move(route)) {}

  // `slot_of`(i) is the slot of the i-th key.
  template <typename SlotOf>
  RedisPlan PlanFor(size_t count, SlotOf slot_of) const {
    return PlanKeys(count, options_.max_keys_per_call, route_->one_slot_a_command(), slot_of);
  }
  void BeginFetch(std::vector<L2Key> keys, bool replica_ok, absl::Time deadline,
                  FetchCallback callback);
  void FetchRanges(std::shared_ptr<FetchCall> call, std::vector<KeyRange> ranges);
  void OnFetched(const std::shared_ptr<FetchCall>& call, const std::vector<KeyRange>& ranges,
                 RedisReplies replies);

  // Chunks of writes that fit into a call; refused writes get their result at once.
  // On Redis Cluster a chunk has writes of one slot only.
  std::vector<std::vector<size_t>> ChunksOf(const std::vector<L2Write>& writes,
                                            std::vector<L2WriteResult>* results) const;
  std::string_view CountKey() const {
    return route_->one_slot_a_command() ? std::string_view() : kChangeCountKey;
  }
  void ReplicateNext(std::shared_ptr<ReplicateCall> call);

  const RedisStoreOptions options_;
  const Clock& clock_;
  const std::unique_ptr<RedisRoute> route_;
  UsageQuestion usage_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_STORE_H_
