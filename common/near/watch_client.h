// WatchClient keeps a Watch stream to each node whose slots a NearCache follows.
//
// Promise: streams that end, fall silent or make no sense are opened anew, from where they were:
//   50 ms after the first failure, doubling to 2 s. A stream is renewed before the rates of two
//   clocks can add up to much (WatchFollower). At most one message of each waits to be taken: what
//   a slow process has not taken waits at the node, which says so when it gives it up.
// Cost: one thread, and one stream a node.
// Thread safety: SetNodes and Stats may be called by any thread. The destructor waits for the
//   streams' ends; it must not run on a thread of gRPC.

#ifndef MERIDIAN_COMMON_NEAR_WATCH_CLIENT_H_
#define MERIDIAN_COMMON_NEAR_WATCH_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/random/random.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/near/near_cache.h"
#include "common/near/watch_follower.h"
#include "common/resilience/backoff.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {

struct WatchClientOptions {
  std::string thread_name = "near";
  absl::Duration tick = absl::Milliseconds(500);
  absl::Duration silence = absl::Seconds(3);  // Then a stream is given up.
  absl::Duration renew = absl::Minutes(10);
};

class WatchClient {
 public:
  using Stub = cache::v1::CacheService::Stub;
  struct Node {
    std::shared_ptr<Stub> stub;  // Holds the channel, too.
    WatchFollower::Slots slots;
  };
  struct Stats {
    uint64_t streams = 0;  // That were opened since start.
    uint64_t resumes = 0;
    uint64_t restarts = 0;
  };

  // Neither is owned; both outlive this.
  WatchClient(WatchClientOptions options, NearCache& cache, const Clock& clock);
  ~WatchClient();

  // Who owns what from now on, by address. What moved is not served until its new owner tells of
  // it.
  void SetNodes(std::map<std::string, Node> nodes);

  Stats stats() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Stream;
  struct Followed {
    Followed(NearCache& cache, NearCache::Source source)
        : follower(cache, source),
          backoff(BackoffOptions{absl::Milliseconds(50), absl::Seconds(2), 2.0, 0.5}) {}
    std::shared_ptr<Stub> stub;
    WatchFollower follower;
    WatchFollower::Slots asked;  // Of `stream`.
    Backoff backoff;
    Stream* stream = nullptr;  // What other streams say is not for the follower any more.
    bool retry_pending = false;
    absl::Duration began;
    absl::Duration heard;
  };

  // On executor_'s thread:
  void Open(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);
  void Tick() ABSL_LOCKS_EXCLUDED(mu_);
  void Reap() ABSL_LOCKS_EXCLUDED(mu_);

  // What `stream` says, on a thread of gRPC. False: nobody wants more of it.
  bool Take(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  void Ended(Stream* stream) ABSL_LOCKS_EXCLUDED(mu_);
  // The node's stream is not its stream any more; gRPC will end it.
  void Abandon(Followed& followed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void RetryLater(const std::string& address, Followed& followed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const WatchClientOptions options_;
  NearCache& cache_;
  const Clock& clock_;

  mutable absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::map<std::string, std::unique_ptr<Followed>> nodes_ ABSL_GUARDED_BY(mu_);
  std::vector<NearCache::Source> free_sources_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<Stream*> streams_ ABSL_GUARDED_BY(mu_);  // gRPC may still call them.
  std::vector<Stream*> ended_ ABSL_GUARDED_BY(mu_);  // It will not; deleted on executor_'s thread.
  absl::BitGen random_ ABSL_GUARDED_BY(mu_);
  Stats stats_ ABSL_GUARDED_BY(mu_);  // Without those of nodes_.
  ThreadExecutor executor_;           // Last: its tasks use everything above.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_NEAR_WATCH_CLIENT_H_
