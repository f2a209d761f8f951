// What Redis answers about changelogs, taken apart. Pure functions.

#ifndef MERIDIAN_SERVER_L2_CHANGELOG_REPLIES_H_
#define MERIDIAN_SERVER_L2_CHANGELOG_REPLIES_H_

#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/l2/redis_command.h"
#include "server/l2/reply.h"
#include "server/node/l2_store.h"

namespace meridian {

// For a reply that no Redis gives to `command`.
absl::Status UnexpectedReply(std::string_view command);

// XREAD's answer for `reads` [begin, end): its streams come in the order of the request, without
// those that have nothing new.
absl::Status TakeStreams(const Reply& reply, const std::vector<LogRead>& reads, size_t begin,
                         size_t end, std::vector<LogSlice>* slices);

// The `count` positions in the replies of several calls, "" and nil being {0, 0}.
absl::StatusOr<std::vector<LogPosition>> TakePositions(const RedisReplies& replies, size_t count);

// HGETALL of a list of fences: names with their versions.
absl::StatusOr<std::vector<LogEntry>> TakeFences(const Reply& reply);

// Scripts that answer `count` numbers in all.
absl::StatusOr<std::vector<uint64_t>> TakeNumbers(const RedisReplies& replies, size_t count);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_CHANGELOG_REPLIES_H_
