// What servers answer when they are asked what they use (L2UsageSource).
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_L2_USAGE_REPLIES_H_
#define MERIDIAN_SERVER_L2_USAGE_REPLIES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "server/l2/redis_command.h"
#include "server/node/l2_usage.h"

namespace meridian {

// What each server is asked.
std::vector<RedisCommand> UsageCommands();

// `servers`: their replies to UsageCommands. An error when one of them does not tell: a sum
// without it would look like less.
absl::StatusOr<L2Usage> TakeUsage(const std::vector<RedisReplies>& servers);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_USAGE_REPLIES_H_
