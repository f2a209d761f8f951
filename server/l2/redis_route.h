// RedisRoute is the way to the Redis that holds a region's data, whatever its shape: it decides
// which endpoint (RedisClient) gets a command, and follows the data when it moves.
//
// Promise: `done` of every Submit is called exactly once: on the loop, or on the caller's stack
// when nothing could be sent. The destructor fails what is pending. Thread safety: all methods may
// be called concurrently. REQUIRES: not destroyed on the loop.

#ifndef MERIDIAN_SERVER_L2_REDIS_ROUTE_H_
#define MERIDIAN_SERVER_L2_REDIS_ROUTE_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/redis_client.h"
#include "server/l2/redis_command.h"
#include "server/l2/store_generations.h"
#include "server/node/l2_store.h"

namespace meridian {

struct ScanPage {
  std::vector<std::string> names;  // Of Redis keys.
  std::string next;                // Where to go on; empty: that was the last page.
};
using ScanDone = std::function<void(absl::StatusOr<ScanPage>)>;
using CountDone = std::function<void(absl::StatusOr<uint64_t>)>;
using EachDone = std::function<void(std::vector<RedisReplies>)>;

// A number that moves with every batch that may append to a changelog: a key of its own, except on
// Redis Cluster, where no key could be in the same slot as all changelogs.
inline constexpr char kChangeCountKey[] = "m:changes";

class RedisRoute {
 public:
  virtual ~RedisRoute() = default;

  // Sends `commands`, in order where they meet the same key. It must not block.
  virtual void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
                      RedisDone done) = 0;

  // True when all keys of a command must be of one slot, which the command names
  // (RedisCommand::slot).
  virtual bool one_slot_a_command() const { return false; }

  // The next page of a walk through all keys; `from` is empty at first and then the last page's
  // `next`. kAborted: the data has moved meanwhile, begin anew.
  virtual void Scan(std::string from, size_t count, absl::Time deadline, ScanDone done) = 0;

  // Asks every server that the data is on the same, which must not be about a key; replies by
  // server, in any order.
  virtual void AskEach(std::vector<RedisCommand> commands, absl::Time deadline, EachDone done) {
    Submit(RedisLane::kRead, std::move(commands), deadline,
           [done = std::move(done)](RedisReplies replies) { done({std::move(replies)}); });
  }

  // See L2Store::ChangeCount.
  virtual void ChangeCount(absl::Time deadline, CountDone done) = 0;

  virtual L2Health Health() const = 0;

  // See L2Store::AwaySlots.
  virtual std::vector<uint32_t> AwaySlots() const { return {}; }

  // See L2Store::Generation. Raised before the first answer of the server whose data is in doubt.
  const StoreGenerations& generations() const { return generations_; }

 protected:
  StoreGenerations generations_;
};

// For routes: SCAN of entries on one server, the number that its writes move, and who answered.
RedisCommand ScanCommand(std::string_view cursor, size_t count);
absl::StatusOr<ScanPage> TakeScanPage(absl::StatusOr<Reply> reply);
RedisCommand ChangeCountCommand();
absl::StatusOr<uint64_t> TakeChangeCount(const absl::StatusOr<Reply>& reply);
// A replica gave these answers.
void MarkFromReplica(RedisReplies* replies);

// The route for the shape that the URL names. Begins to connect and returns at once: a Redis that
// is down is no error here. `observer` may be nullptr. References outlive the route.
absl::StatusOr<std::unique_ptr<RedisRoute>> OpenRoute(EventLoop& loop, RedisClientOptions options,
                                                      const Clock& clock, L2Observer* observer);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_ROUTE_H_
