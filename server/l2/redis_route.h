// RedisRoute is the way to the Redis that holds a region's data, whatever its shape: it decides
// which endpoint (RedisClient) gets a command, and follows the data when it moves.
//
// Promise: `done` of every Submit is called exactly once: on the loop, or on the caller's stack
// when nothing could be sent. The destructor fails what is pending. Thread safety: Submit and
// Health may be called concurrently. REQUIRES: not destroyed on the loop.

#ifndef MERIDIAN_SERVER_L2_REDIS_ROUTE_H_
#define MERIDIAN_SERVER_L2_REDIS_ROUTE_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/redis_client.h"
#include "server/l2/redis_command.h"
#include "server/node/l2_store.h"

namespace meridian {

class RedisRoute {
 public:
  virtual ~RedisRoute() = default;

  // Sends `commands`, in order where they meet the same key. It must not block.
  virtual void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
                      RedisDone done) = 0;

  virtual L2Health Health() const = 0;
};

// The route for the shape that the URL names. Begins to connect and returns at once: a Redis that
// is down is no error here. `observer` may be nullptr. References outlive the route.
absl::StatusOr<std::unique_ptr<RedisRoute>> OpenRoute(EventLoop& loop, RedisClientOptions options,
                                                      const Clock& clock, L2Observer* observer);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_ROUTE_H_
