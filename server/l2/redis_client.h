// RedisClient sends commands to one Redis over a few pipelined connections.
//
// It owns what every user of that Redis shares: the connections (one lane for writes, so that they
// keep their order; one for reads; one for replication, opened when first used), the circuit
// breaker, the check of Redis' configuration, and the way from EVALSHA to EVAL.
// Promise: `done` of every Submit is called exactly once: on the loop, or on the caller's stack
// when
//   nothing could be sent. It must not block. The destructor fails what is pending.
// Thread safety: Submit and Health may be called concurrently. REQUIRES: not destroyed on the loop.

#ifndef MERIDIAN_SERVER_L2_REDIS_CLIENT_H_
#define MERIDIAN_SERVER_L2_REDIS_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/circuit_breaker.h"
#include "server/l2/connection.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/script.h"
#include "server/node/l2_store.h"
#include "server/policy/redis_url.h"

namespace meridian {

struct RedisClientOptions {
  RedisUrl url;
  int read_connections = 1;  // Besides one for writes and one for replication.
  ConnectionOptions connection;
  CircuitBreakerOptions breaker;
  // Answers that take longer than a caller's shorter deadline count as failures only from here on.
  absl::Duration slow_call = absl::Milliseconds(50);

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

// One command in wire format (RespWriter), one reply expected.
struct RedisCommand {
  std::string_view name;  // For metrics; a constant.
  std::string bytes;      // The whole command; for a script: what follows the sha or the source.
  const Script* script = nullptr;
  size_t script_arguments = 0;  // How many arguments `bytes` holds.
};

class RedisClient {
 public:
  enum class Lane { kWrite, kRead, kReplicate };
  // In order of the commands. An error reply of Redis is a status here.
  using Replies = std::vector<absl::StatusOr<Reply>>;
  using Done = std::function<void(Replies)>;

  // Begins to connect and returns at once. `observer` may be nullptr. References outlive this.
  static absl::StatusOr<std::unique_ptr<RedisClient>> Create(EventLoop& loop,
                                                             RedisClientOptions options,
                                                             const Clock& clock,
                                                             L2Observer* observer);
  ~RedisClient();

  // Sends `commands` in order on one connection.
  void Submit(Lane lane, std::vector<RedisCommand> commands, absl::Time deadline, Done done)
      ABSL_LOCKS_EXCLUDED(mu_);

  L2Health Health() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Call;
  struct Slot;  // A connection and whether it is ready.

  RedisClient(EventLoop& loop, RedisClientOptions options, const Clock& clock,
              L2Observer* observer);
  void OpenConnections();
  std::vector<Connection::HandshakeStep> Handshake();
  void CheckServer(const Reply& info) ABSL_LOCKS_EXCLUDED(mu_);
  void CheckMemory(const Reply& config) ABSL_LOCKS_EXCLUDED(mu_);
  size_t ConnectionFor(Lane lane);
  void Send(const std::shared_ptr<Call>& call, size_t index, bool with_source);
  void OnReply(const std::shared_ptr<Call>& call, size_t index, bool with_source,
               absl::StatusOr<Reply> reply);
  void Finish(Call& call) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(std::vector<RedisCommand> commands, const absl::Status& why, const Done& done);
  void OnReady(size_t connection) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDown(size_t connection, const absl::Status& why, DownCause cause, bool was_ready)
      ABSL_LOCKS_EXCLUDED(mu_);
  void ReportBreaker(CircuitBreaker::State before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  double Random() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  EventLoop& loop_;
  const RedisClientOptions options_;
  const Clock& clock_;
  L2Observer* const observer_;
  std::unique_ptr<TlsContext> tls_;                       // nullptr: plain text. Loop only.
  std::vector<std::unique_ptr<Connection>> connections_;  // Loop only. Writes, reads, replication.
  std::atomic<uint32_t> next_read_{0};

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  CircuitBreaker breaker_ ABSL_GUARDED_BY(mu_);
  std::minstd_rand random_ ABSL_GUARDED_BY(mu_);
  std::vector<bool> ready_ ABSL_GUARDED_BY(mu_);  // By connection.
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  std::string version_problem_ ABSL_GUARDED_BY(mu_);
  std::string memory_problem_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_CLIENT_H_
