#include "server/l2/usage_replies.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/changelog_replies.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

// The value of `name` in an answer to INFO; "" when it has none.
std::string FieldOf(std::string_view info, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(ToAbsl(info), '\n')) {
    if (absl::ConsumePrefix(&line, name) && absl::ConsumePrefix(&line, ":")) {
      return std::string(absl::StripAsciiWhitespace(line));
    }
  }
  return "";
}

// Of one server.
L2Usage UsageOf(std::string_view memory, std::string_view persistence, uint64_t used,
                uint64_t limit) {
  int64_t saved = 0;
  if (!absl::SimpleAtoi(FieldOf(persistence, "rdb_last_save_time"), &saved)) saved = 0;
  return {.used_bytes = used,
          .limit_bytes = limit,
          .eviction_policy = FieldOf(memory, "maxmemory_policy"),
          .aof = FieldOf(persistence, "aof_enabled") == "1",
          .saves = FieldOf(persistence, "rdb_last_bgsave_status") != "err" &&
                   FieldOf(persistence, "aof_last_write_status") != "err",
          .saved_at = absl::FromUnixSeconds(saved)};
}

}  // namespace

std::vector<RedisCommand> UsageCommands() {
  // One section a command: Redis before 7 takes no more.
  return {RedisCommand::Plain("usage", CommandOf({"INFO", "memory"})),
          RedisCommand::Plain("usage", CommandOf({"INFO", "persistence"}))};
}

absl::StatusOr<L2Usage> TakeUsage(const std::vector<RedisReplies>& servers) {
  if (servers.empty()) return absl::UnavailableError("no server of the Redis is known");
  L2Usage sum = {.aof = true, .saved_at = absl::InfiniteFuture()};
  bool limited = true;
  std::set<std::string> policies;
  for (const RedisReplies& replies : servers) {
    for (const absl::StatusOr<Reply>& reply : replies) RETURN_IF_ERROR(reply.status());
    const std::string_view memory = replies[0]->text();
    uint64_t used = 0;
    uint64_t limit = 0;
    if (!absl::SimpleAtoi(FieldOf(memory, "used_memory"), &used) ||
        !absl::SimpleAtoi(FieldOf(memory, "maxmemory"), &limit)) {
      return UnexpectedReply("INFO memory");
    }
    const L2Usage one = UsageOf(memory, replies[1]->text(), used, limit);
    sum.used_bytes += one.used_bytes;
    sum.limit_bytes += one.limit_bytes;
    limited &= one.limit_bytes > 0;
    policies.insert(one.eviction_policy);
    sum.aof &= one.aof;
    sum.saves &= one.saves;
    sum.saved_at = std::min(sum.saved_at, one.saved_at);
  }
  if (!limited) sum.limit_bytes = 0;
  sum.eviction_policy = absl::StrJoin(policies, ",");
  return sum;
}

}  // namespace meridian
