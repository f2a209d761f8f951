// SentinelRoute: all data is on the primary of a group, and the sentinels say which that is.
//
// A server gets commands only after it has said itself (ROLE) that it is a primary. When the
// sentinels name another one, the whole pool of connections to the old one is dropped: what was
// sent and not answered fails with kUnavailable, outcome unknown. A lost connection and a READONLY
// answer make it ask the sentinels at once. Calls wait for the very first answer of the sentinels;
// later, while there is no primary, they fail at once. With replica_reads, a read that does not
// reach the primary is asked of a replica instead, which may not yet have the last writes; while
// the sentinels set the replicas up anew, which drops their connections, it waits for one, half a
// second at most. Thread safety, promise: those of RedisRoute.

#ifndef MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_
#define MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/l2/redis_route.h"
#include "server/l2/sentinel_watch.h"
#include "server/l2/tls_context.h"
#include "server/l2/waiting_calls.h"

namespace meridian {

class SentinelRoute final : public RedisRoute {
 public:
  // `tls` is nullptr for plain text. REQUIRES: options.Validate() is OK.
  SentinelRoute(EventLoop& loop, const RedisClientOptions& options, std::unique_ptr<TlsContext> tls,
                const Clock& clock, L2Observer* observer);
  ~SentinelRoute() override;

  void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
              RedisDone done) override ABSL_LOCKS_EXCLUDED(mu_);
  // A walk goes on at the primary where it began, or not at all.
  void Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) override
      ABSL_LOCKS_EXCLUDED(mu_);
  void ChangeCount(absl::Time deadline, CountDone done) override ABSL_LOCKS_EXCLUDED(mu_);
  L2Health Health() const override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void OnFound(const RedisAddress& address, uint64_t epoch) ABSL_LOCKS_EXCLUDED(mu_);
  void OnReplicas(const std::vector<RedisAddress>& addresses) ABSL_LOCKS_EXCLUDED(mu_);
  // A read that the primary did not answer.
  struct Read {
    std::vector<RedisCommand> commands;
    absl::Time deadline;
    std::shared_ptr<RedisClient> primary;
    RedisReplies failed;  // What was answered last.
    RedisDone done;
    int tries = 0;  // At replicas.
  };
  std::shared_ptr<RedisClient> AnyReplica() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AskReplica(std::shared_ptr<Read> read) ABSL_LOCKS_EXCLUDED(mu_);
  // On the loop, as are the next three.
  void WaitForReplica(std::shared_ptr<Read> read, absl::Duration give_up);
  void ReleaseReads() ABSL_LOCKS_EXCLUDED(mu_);
  void FailReads(absl::Duration until);
  void OnReplicaLost() ABSL_LOCKS_EXCLUDED(mu_);
  void SubmitRead(std::shared_ptr<RedisClient> primary, std::vector<RedisCommand> commands,
                  absl::Time deadline, RedisDone done) ABSL_LOCKS_EXCLUDED(mu_);
  void OnAsked(const std::vector<L2Sentinel>& sentinels) ABSL_LOCKS_EXCLUDED(mu_);
  void OnLost(const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t Generation() const ABSL_LOCKS_EXCLUDED(mu_);
  void Wait(WaitingCalls::Call call) ABSL_LOCKS_EXCLUDED(mu_);

  EventLoop& loop_;
  const RedisClientOptions options_;
  const std::unique_ptr<TlsContext> tls_;
  const Clock& clock_;
  L2Observer* const observer_;
  std::unique_ptr<SentinelWatch> watch_;   // Loop only.
  std::unique_ptr<WaitingCalls> waiting_;  // Loop only.
  // Loop only: reads that wait for a replica, and until when (monotonic).
  std::vector<std::pair<std::shared_ptr<Read>, absl::Duration>> reads_;
  std::unique_ptr<LoopTimer> reads_timer_;
  absl::Duration reads_due_;  // When the timer fires, while there are any.

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<RedisClient> primary_ ABSL_GUARDED_BY(mu_);  // nullptr: not known.
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;               // Of primary_.
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;                    // Of the sentinels' configuration.
  std::vector<std::shared_ptr<RedisClient>> replicas_ ABSL_GUARDED_BY(mu_);
  size_t next_replica_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration replica_lost_ ABSL_GUARDED_BY(mu_) = -absl::InfiniteDuration();  // Monotonic.
  absl::Status problem_ ABSL_GUARDED_BY(mu_);               // Of the last round of questions.
  std::vector<L2Sentinel> sentinels_ ABSL_GUARDED_BY(mu_);  // After it; empty: none was made yet.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_
