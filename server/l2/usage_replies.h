// What servers answer when they are asked what they use (L2UsageSource).
//
// Thread safety: UsageQuestion may be asked by any thread; the rest are pure functions.

#ifndef MERIDIAN_SERVER_L2_USAGE_REPLIES_H_
#define MERIDIAN_SERVER_L2_USAGE_REPLIES_H_

#include <atomic>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/l2/redis_command.h"
#include "server/l2/redis_route.h"
#include "server/node/l2_usage.h"

namespace meridian {

// What each server is asked; `settings`: CONFIG, too, which a managed Redis forbids.
std::vector<RedisCommand> UsageCommands(bool settings);

// `servers`: their replies to UsageCommands, with settings or without. An error when one of them
// does not tell what it uses: a sum without it would look like less. Settings that it does not tell
// are not known.
absl::StatusOr<L2Usage> TakeUsage(const std::vector<RedisReplies>& servers);

// True when a server has answered that it tells no settings.
bool SettingsAreRefused(const std::vector<RedisReplies>& servers);

// Asks all servers; for settings no more once they were refused.
class UsageQuestion {
 public:
  void Ask(RedisRoute& route, absl::Time deadline, L2UsageSource::UsageCallback callback);

 private:
  const std::shared_ptr<std::atomic<bool>> refused_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_USAGE_REPLIES_H_
