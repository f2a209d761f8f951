// RedisClient sends commands to one endpoint, a redis-server at one address, over a few pipelined
// connections. Which endpoint gets what is a RedisRoute's business.
//
// It owns what every user of that server shares: the connections (one for writes, so that they keep
// their order; one for reads, and more when all of them are busy; one for replication, opened when
// first used), the circuit breaker, the check of Redis' configuration, and the way from EVALSHA to
// EVAL. Promise: `done` of every Submit is called exactly once: on the loop, or on the caller's
// stack when nothing could be sent. It must not block. Close fails what is pending. Thread safety:
// Submit, Close and Health may be called concurrently.

#ifndef MERIDIAN_SERVER_L2_REDIS_CLIENT_H_
#define MERIDIAN_SERVER_L2_REDIS_CLIENT_H_

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/circuit_breaker.h"
#include "server/l2/connection.h"
#include "server/l2/event_loop.h"
#include "server/l2/l2_observer.h"
#include "server/l2/redis_command.h"
#include "server/node/l2_store.h"
#include "server/policy/redis_url.h"

namespace meridian {

struct RedisClientOptions {
  RedisUrl url;
  int read_connections = 1;  // At most, besides one for writes and one for replication.
  ConnectionOptions connection;
  CircuitBreakerOptions breaker;
  // Answers that take longer than a caller's shorter deadline count as failures only from here on.
  absl::Duration slow_call = absl::Milliseconds(50);

  // Returns kInvalidArgument naming the field, the value and the rule.
  absl::Status Validate() const;
};

class RedisClient : public std::enable_shared_from_this<RedisClient> {
 public:
  enum class Event {
    kReady,     // A connection is ready.
    kDown,      // A connection was lost, or a connect failed.
    kReadOnly,  // A write was refused: this is no primary any more.
  };
  struct Hooks {
    bool must_be_primary = false;         // Otherwise connects fail: ROLE is asked.
    bool read_replica = false;            // Of a cluster: READONLY is said first.
    std::function<void(Event)> on_event;  // On the loop. May be empty.
    // Another process than before answers here, before anything else is sent to it: its data may be
    // older. On the loop. May be empty. Not called when Redis does not say (INFO is forbidden).
    std::function<void()> on_restarted = nullptr;
  };

  // Begins to connect to `address` and returns at once. `tls` is nullptr for plain text, `observer`
  // may be nullptr. References and pointers outlive this. REQUIRES: options.Validate() is OK; Close
  // is called before the last reference goes.
  static std::shared_ptr<RedisClient> Open(EventLoop& loop, RedisAddress address,
                                           const RedisClientOptions& options, TlsContext* tls,
                                           const Clock& clock, L2Observer* observer, Hooks hooks);
  ~RedisClient();

  // Drops the connections, by a task on the loop, which fails what is pending. What is submitted
  // later fails at once.
  void Close() ABSL_LOCKS_EXCLUDED(mu_);

  // Sends `commands` in order on one connection.
  void Submit(RedisLane lane, std::vector<RedisCommand> commands, absl::Time deadline,
              RedisDone done) ABSL_LOCKS_EXCLUDED(mu_);

  L2Health Health() const ABSL_LOCKS_EXCLUDED(mu_);
  // What is submitted now would fail.
  bool IsAway() const ABSL_LOCKS_EXCLUDED(mu_);
  const RedisAddress& address() const { return address_; }

 private:
  struct Call;

  RedisClient(EventLoop& loop, RedisAddress address, const RedisClientOptions& options,
              TlsContext* tls, const Clock& clock, L2Observer* observer, Hooks hooks);
  void Tell(Event event);
  void OpenConnections();
  std::vector<Connection::HandshakeStep> Handshake();
  void CheckServer(const Reply& info) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteProcess(absl::string_view run_id);
  void CheckMemory(const Reply& config) ABSL_LOCKS_EXCLUDED(mu_);
  Connection& ConnectionFor(RedisLane lane);
  void Send(const std::shared_ptr<Call>& call, size_t index, bool with_source);
  void OnReply(const std::shared_ptr<Call>& call, size_t index, bool with_source,
               absl::StatusOr<Reply> reply);
  void Finish(Call& call) ABSL_LOCKS_EXCLUDED(mu_);
  void Refuse(const std::vector<RedisCommand>& commands, const absl::Status& why,
              const RedisDone& done);
  void OnReady(size_t connection) ABSL_LOCKS_EXCLUDED(mu_);
  void OnDown(size_t connection, const absl::Status& why, DownCause cause, bool was_ready)
      ABSL_LOCKS_EXCLUDED(mu_);
  void ReportBreaker(CircuitBreaker::State before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  double Random() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  EventLoop& loop_;
  const RedisAddress address_;
  const RedisClientOptions options_;
  TlsContext* const tls_;  // Loop only.
  const Clock& clock_;
  L2Observer* const observer_;
  const Hooks hooks_;
  std::string run_id_;  // Loop only. Of the process that was met last; empty: none was.
  std::vector<std::unique_ptr<Connection>> connections_;  // Loop only. Writes, replication, reads.

  mutable absl::Mutex mu_;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  CircuitBreaker breaker_ ABSL_GUARDED_BY(mu_);
  std::minstd_rand random_ ABSL_GUARDED_BY(mu_);
  std::vector<bool> ready_ ABSL_GUARDED_BY(mu_);  // By connection: writes, replication, reads.
  absl::Status last_error_ ABSL_GUARDED_BY(mu_);
  std::string version_problem_ ABSL_GUARDED_BY(mu_);
  std::string memory_problem_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_CLIENT_H_
