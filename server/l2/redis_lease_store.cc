#include "server/l2/redis_lease_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/l2/cluster_slots.h"
#include "server/l2/resp_writer.h"

namespace meridian {
namespace {

// One tag: scripts that compare a lease and store a value need both on one server.
constexpr char kTag[] = "coord";

std::string LeaseKey(const std::string& name) { return absl::StrCat("m:{coord}:lease:", name); }
std::string TokenKey(const std::string& name) { return absl::StrCat("m:{coord}:token:", name); }
std::string ValueKey(const std::string& key) { return absl::StrCat("m:{coord}:value:", key); }

RedisCommand ScriptCall(std::string_view name, const Script& script,
                        const std::vector<std::string>& keys,
                        const std::vector<std::string>& arguments) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.AddNumber(static_cast<int64_t>(keys.size()));
  for (const std::string_view key : keys) writer.Add(key);
  for (const std::string_view argument : arguments) writer.Add(argument);
  return RedisCommand::Call(name, script, 1 + keys.size() + arguments.size(), std::move(bytes));
}

// {held, token, holder, address, HTTP address, time in ms, then the id and the note of each that
// left one}; held: 2 when the data was lost.
absl::StatusOr<LeaseState> ParseLease(const Reply& reply) {
  LeaseState state;
  int64_t now_ms = 0;
  if (reply.elements.size() < 6 || reply.elements.size() % 2 != 0 ||
      !absl::SimpleAtoi(ToAbsl(reply.elements[1].text()), &state.token) ||
      !absl::SimpleAtoi(ToAbsl(reply.elements[5].text()), &now_ms)) {
    return absl::InternalError("the lease script answered something unexpected");
  }
  state.held = reply.elements[0].integer != 0;
  state.lost_data = reply.elements[0].integer == 2;
  state.holder = reply.elements[2].text();
  state.address = reply.elements[3].text();
  state.http_address = reply.elements[4].text();
  state.now = absl::FromUnixMillis(now_ms);
  for (size_t i = 6; i < reply.elements.size(); i += 2) {
    state.notes[std::string(reply.elements[i].text())] = reply.elements[i + 1].text();
  }
  return state;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RedisLeaseStore>> RedisLeaseStore::Create(EventLoop& loop,
                                                                         RedisClientOptions options,
                                                                         const Clock& clock,
                                                                         L2Observer* observer) {
  const absl::Duration timeout = options.connection.command_timeout;
  ASSIGN_OR_RETURN(std::unique_ptr<RedisRoute> route,
                   OpenRoute(loop, std::move(options), clock, observer));
  return std::unique_ptr<RedisLeaseStore>(new RedisLeaseStore(clock, timeout, std::move(route)));
}

void RedisLeaseStore::Submit(RedisCommand command, OneReply done) {
  command.slot = RedisHashSlot(kTag);
  std::vector<RedisCommand> commands;
  commands.push_back(std::move(command));
  route_->Submit(RedisLane::kWrite, std::move(commands), clock_.Now() + timeout_,
                 [done = std::move(done)](RedisReplies replies) { done(std::move(replies[0])); });
}

void RedisLeaseStore::TryAcquire(std::string name, LeaseBid bid, absl::Duration ttl,
                                 LeaseCallback callback) {
  const std::string ttl_ms = absl::StrCat(std::max<int64_t>(absl::ToInt64Milliseconds(ttl), 1));
  Submit(ScriptCall(
             "lease_acquire", kLeaseAcquireScript, {LeaseKey(name), TokenKey(name)},
             {bid.holder, bid.address, ttl_ms, bid.http_address, bid.note, absl::StrCat(kMaxNotes),
              absl::StrCat(bid.known_token), absl::StrCat(static_cast<int>(bid.claim))}),
         [callback = std::move(callback)](absl::StatusOr<Reply> reply) {
           if (!reply.ok()) return callback(reply.status());
           callback(ParseLease(*reply));
         });
}

void RedisLeaseStore::Release(std::string name, std::string holder, StatusCallback callback) {
  Submit(ScriptCall("lease_release", kLeaseReleaseScript, {LeaseKey(name)}, {holder}),
         [callback = std::move(callback)](const absl::StatusOr<Reply>& reply) {
           callback(reply.status());
         });
}

void RedisLeaseStore::PutFenced(std::string name, uint64_t token, std::string key,
                                std::string value, StatusCallback callback) {
  PutAllFenced(std::move(name), token, {{std::move(key), std::move(value)}}, std::move(callback));
}

void RedisLeaseStore::PutAllFenced(std::string name, uint64_t token,
                                   std::vector<FencedWrite> writes, StatusCallback callback) {
  std::vector<std::string> keys = {LeaseKey(name)};
  std::vector<std::string> arguments = {absl::StrCat(token)};
  for (const FencedWrite& write : writes) {
    keys.push_back(ValueKey(write.key));
    arguments.push_back(write.value.has_value() ? absl::StrCat("=", *write.value) : "-");
  }
  Submit(ScriptCall("put_fenced", kPutFencedScript, keys, arguments),
         [callback = std::move(callback), name, token](const absl::StatusOr<Reply>& reply) {
           if (!reply.ok() || reply->integer == 1) return callback(reply.status());
           callback(absl::FailedPreconditionError(absl::StrCat(
               "LEASE_LOST: ", token, " is not the current token of the lease '", name, "'")));
         });
}

void RedisLeaseStore::GetValue(std::string key, ValueCallback callback) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(2);
  writer.Add("GET");
  writer.Add(ValueKey(key));
  Submit(RedisCommand::Plain("get_value", std::move(bytes)),
         [callback = std::move(callback)](const absl::StatusOr<Reply>& reply) {
           if (!reply.ok()) return callback(reply.status());
           if (reply->type == Reply::Type::kNil) return callback(std::optional<std::string>());
           callback(std::optional<std::string>(reply->text()));
         });
}

}  // namespace meridian
