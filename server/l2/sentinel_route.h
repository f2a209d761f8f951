// SentinelRoute: all data is on the primary of a group, and the sentinels say which that is.
//
// A server gets commands only after it has said itself (ROLE) that it is a primary. When the
// sentinels name another one, the whole pool of connections to the old one is dropped: what was
// sent and not answered fails with kUnavailable, outcome unknown. A lost connection and a READONLY
// answer make it ask the sentinels at once. Calls wait for the very first answer of the sentinels;
// later, while there is no primary, they fail at once. With replica_reads, a read that does not
// reach the primary is asked of a replica instead, which may
// not yet have the last writes.
// Thread safety, promise: those of RedisRoute.

#ifndef MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_
#define MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_

#include <cstdint>
#include <memory>
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
  std::shared_ptr<RedisClient> AnyReplica() ABSL_LOCKS_EXCLUDED(mu_);
  void SubmitRead(RedisClient& primary, std::vector<RedisCommand> commands, absl::Time deadline,
                  RedisDone done) ABSL_LOCKS_EXCLUDED(mu_);
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

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::shared_ptr<RedisClient> primary_ ABSL_GUARDED_BY(mu_);  // nullptr: not known.
  uint64_t generation_ ABSL_GUARDED_BY(mu_) = 0;               // Of primary_.
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 0;                    // Of the sentinels' configuration.
  std::vector<std::shared_ptr<RedisClient>> replicas_ ABSL_GUARDED_BY(mu_);
  size_t next_replica_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Status problem_ ABSL_GUARDED_BY(mu_);               // Of the last round of questions.
  std::vector<L2Sentinel> sentinels_ ABSL_GUARDED_BY(mu_);  // After it; empty: none was made yet.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_SENTINEL_ROUTE_H_
