// RedisCommand is one command in wire format, and what comes back for several of them.

#ifndef MERIDIAN_SERVER_L2_REDIS_COMMAND_H_
#define MERIDIAN_SERVER_L2_REDIS_COMMAND_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/l2/reply.h"
#include "server/l2/script.h"

namespace meridian {

// One reply is expected. Cheap to copy: whoever may have to send it again keeps a copy.
struct RedisCommand {
  std::string_view name;  // For metrics; a constant.
  // The whole command (RespWriter); for a script: what follows the sha or the source.
  std::shared_ptr<const std::string> bytes;
  const Script* script = nullptr;
  size_t script_arguments = 0;  // How many arguments `bytes` holds.
  int slot = 0;                 // Redis' hash slot of its keys. Only Redis Cluster looks.
  bool replica_ok = false;      // A replica may answer when the primary cannot.
  bool divisible = false;       // The caller asks for its keys one by one after a TRYAGAIN.
  bool asking = false;  // Follows an ASK: the server takes it though the slot is not yet its.

  static RedisCommand Plain(std::string_view name, std::string bytes) {
    return {name, std::make_shared<const std::string>(std::move(bytes))};
  }
  static RedisCommand Call(std::string_view name, const Script& script, size_t arguments,
                           std::string bytes) {
    return {name, std::make_shared<const std::string>(std::move(bytes)), &script, arguments};
  }
};

// Which of an endpoint's connections: writes keep their order, and wait for no large read.
enum class RedisLane { kWrite, kRead, kReplicate };

// In order of the commands. An error reply of Redis is a status here (StatusOfError).
using RedisReplies = std::vector<absl::StatusOr<Reply>>;
using RedisDone = std::function<void(RedisReplies)>;

// True when the server could not be reached, or gave no answer: another one may have it.
inline bool IsUnreachable(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable && RedisErrorOf(status).empty();
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_COMMAND_H_
