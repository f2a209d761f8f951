#include "server/l2/usage_replies.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

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

constexpr size_t kSettings = 2;  // Where their reply is.

// True when it makes snapshots by itself; nullopt: not known.
std::optional<bool> MakesSnapshots(const RedisReplies& replies, std::string_view persistence) {
  if (replies.size() > kSettings && replies[kSettings].ok()) {
    const std::vector<Reply>& pair = replies[kSettings]->elements;
    if (pair.size() == 2 && pair[0].text() == "save") return !pair[1].text().empty();
  }
  int64_t seconds = -1;
  // It has made one since its start: it may make more.
  if (absl::SimpleAtoi(FieldOf(persistence, "rdb_last_bgsave_time_sec"), &seconds) &&
      seconds >= 0) {
    return true;
  }
  return std::nullopt;
}

// L2Usage.persistence of one server.
std::string PersistenceOf(bool aof, std::optional<bool> snapshots) {
  if (!aof && !snapshots.has_value()) return "";
  const bool rdb = snapshots.value_or(false);
  return aof ? (rdb ? "rdb+aof" : "aof") : (rdb ? "rdb" : "none");
}

// How much a restart leaves. What is not known may be anything but more than nothing.
int PersistenceRank(std::string_view persistence) {
  constexpr std::string_view kRanks[] = {"none", "", "rdb", "aof", "rdb+aof"};
  return static_cast<int>(std::find(std::begin(kRanks), std::end(kRanks), persistence) -
                          std::begin(kRanks));
}

// Of one server.
L2Usage UsageOf(const RedisReplies& replies, uint64_t used, uint64_t limit) {
  const std::string_view persistence = replies[1]->text();
  int64_t saved = 0;
  if (!absl::SimpleAtoi(FieldOf(persistence, "rdb_last_save_time"), &saved)) saved = 0;
  const bool aof = FieldOf(persistence, "aof_enabled") == "1";
  return {.used_bytes = used,
          .limit_bytes = limit,
          .eviction_policy = FieldOf(replies[0]->text(), "maxmemory_policy"),
          .persistence = PersistenceOf(aof, MakesSnapshots(replies, persistence)),
          .aof = aof,
          .saves = FieldOf(persistence, "rdb_last_bgsave_status") != "err" &&
                   FieldOf(persistence, "aof_last_write_status") != "err",
          .saved_at = absl::FromUnixSeconds(saved)};
}

}  // namespace

std::vector<RedisCommand> UsageCommands(bool settings) {
  // One section a command: Redis before 7 takes no more.
  std::vector<RedisCommand> commands = {
      RedisCommand::Plain("usage", CommandOf({"INFO", "memory"})),
      RedisCommand::Plain("usage", CommandOf({"INFO", "persistence"}))};
  if (settings)
    commands.push_back(RedisCommand::Plain("usage", CommandOf({"CONFIG", "GET", "save"})));
  return commands;
}

bool SettingsAreRefused(const std::vector<RedisReplies>& servers) {
  return std::any_of(servers.begin(), servers.end(), [](const RedisReplies& replies) {
    return replies.size() > kSettings && !RedisErrorOf(replies[kSettings].status()).empty();
  });
}

absl::StatusOr<L2Usage> TakeUsage(const std::vector<RedisReplies>& servers) {
  if (servers.empty()) return absl::UnavailableError("no server of the Redis is known");
  L2Usage sum = {.persistence = "rdb+aof", .aof = true, .saved_at = absl::InfiniteFuture()};
  bool limited = true;
  std::set<std::string> policies;
  for (const RedisReplies& replies : servers) {
    for (size_t i = 0; i < kSettings; ++i) RETURN_IF_ERROR(replies[i].status());
    const std::string_view memory = replies[0]->text();
    uint64_t used = 0;
    uint64_t limit = 0;
    if (!absl::SimpleAtoi(FieldOf(memory, "used_memory"), &used) ||
        !absl::SimpleAtoi(FieldOf(memory, "maxmemory"), &limit)) {
      return UnexpectedReply("INFO memory");
    }
    const L2Usage one = UsageOf(replies, used, limit);
    sum.used_bytes += one.used_bytes;
    sum.limit_bytes += one.limit_bytes;
    limited &= one.limit_bytes > 0;
    policies.insert(one.eviction_policy);
    if (PersistenceRank(one.persistence) < PersistenceRank(sum.persistence)) {
      sum.persistence = one.persistence;
    }
    sum.aof &= one.aof;
    sum.saves &= one.saves;
    sum.saved_at = std::min(sum.saved_at, one.saved_at);
  }
  if (!limited) sum.limit_bytes = 0;
  sum.eviction_policy = absl::StrJoin(policies, ",");
  return sum;
}

void UsageQuestion::Ask(RedisRoute& route, absl::Time deadline,
                        L2UsageSource::UsageCallback callback) {
  route.AskEach(UsageCommands(!*refused_), deadline,
                [refused = refused_,
                 callback = std::move(callback)](const std::vector<RedisReplies>& servers) {
                  if (SettingsAreRefused(servers)) *refused = true;
                  callback(TakeUsage(servers));
                });
}

}  // namespace meridian
