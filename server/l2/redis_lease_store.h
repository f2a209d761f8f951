// RedisLeaseStore is the LeaseStore on the regional Redis, by scripts/{lease_*,put_fenced}.lua.
//
// Keys: lease m:{coord}:lease:<name> (a hash that Redis forgets with the lease), its token counter
// m:{coord}:token:<name>, values m:{coord}:value:<key>. The counter and the values have no TTL, so
// volatile-lfu never evicts them. Redis' clock alone decides when a lease ends.
// Promise, thread safety: those of LeaseStore. REQUIRES: not destroyed on the loop.

#ifndef MERIDIAN_SERVER_L2_REDIS_LEASE_STORE_H_
#define MERIDIAN_SERVER_L2_REDIS_LEASE_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/redis_route.h"
#include "server/node/lease_store.h"

namespace meridian {

class RedisLeaseStore final : public LeaseStore {
 public:
  // Begins to connect and returns at once. `observer` may be nullptr. References outlive the store.
  static absl::StatusOr<std::unique_ptr<RedisLeaseStore>> Create(EventLoop& loop,
                                                                 RedisClientOptions options,
                                                                 const Clock& clock,
                                                                 L2Observer* observer);

  void TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                  LeaseCallback callback) override;
  void Release(std::string name, std::string holder, StatusCallback callback) override;
  void PutFenced(std::string name, uint64_t token, std::string key, std::string value,
                 StatusCallback callback) override;
  void PutAllFenced(std::string name, uint64_t token, std::vector<FencedWrite> writes,
                    StatusCallback callback) override;
  void GetValue(std::string key, ValueCallback callback) override;

  L2Health Health() const { return route_->Health(); }

 private:
  using OneReply = std::function<void(absl::StatusOr<Reply>)>;

  RedisLeaseStore(const Clock& clock, absl::Duration timeout, std::unique_ptr<RedisRoute> route)
      : clock_(clock), timeout_(timeout), route_(std::move(route)) {}

  void Submit(RedisCommand command, OneReply done);

  const Clock& clock_;
  const absl::Duration timeout_;
  const std::unique_ptr<RedisRoute> route_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_LEASE_STORE_H_
