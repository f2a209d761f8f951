// Connection is one connection to one Redis: connects, logs in, pipelines, and connects again.
//
// Requests are sent as they come and answered in order. Each has a deadline, at which its handler
// hears kDeadlineExceeded; its place in the pipeline stays until the reply comes. A Redis that says
// nothing for command_timeout while it owes a reply, or says something that is no reply, loses its
// connection: what was sent and not answered fails with kUnavailable, outcome unknown. A large
// request on a narrow path is no silence: as long as its bytes go on to reach the other machine (five
// minutes at most), and, once they all have, for what they may take through a proxy in between. Requests
// wait while a connect is under way; between failed connects they fail at once. Promise: every
// handler is called exactly once, never on the stack of Send when it was accepted. Thread safety:
// everything happens on the loop's thread, construction and destruction included.

#ifndef MERIDIAN_SERVER_L2_CONNECTION_H_
#define MERIDIAN_SERVER_L2_CONNECTION_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/backoff.h"
#include "server/l2/event_loop.h"
#include "server/l2/reply.h"
#include "server/l2/tls_context.h"
#include "server/policy/redis_url.h"

struct bufferevent;

namespace meridian {

struct ConnectionOptions {
  absl::Duration connect_timeout = absl::Milliseconds(200);
  absl::Duration command_timeout = absl::Seconds(1);
  // Of a path between us and Redis on which bytes may wait unseen (a proxy's buffers).
  double slowest_bytes_per_second = 128 << 10;
  // Requests; beyond: kResourceExhausted. What thousands of writes a second leave waiting while
  // Redis or this process stands still for a second, as either may.
  size_t max_in_flight = 8192;
  size_t max_output_bytes = size_t{64} << 20;  // Not yet sent; beyond: kResourceExhausted.
  BackoffOptions reconnect;
  ReplyLimits limits;
};

// What took a connection or a connect away. Metrics and people want to know whose fault it is.
enum class DownCause {
  kConnect,   // Nobody answered at the address, or not in time.
  kTls,       // Certificates, names, or a server without TLS.
  kLogin,     // AUTH, SELECT or another step of the handshake was refused.
  kLost,      // Closed or reset by the other side.
  kSilence,   // No answer for command_timeout.
  kProtocol,  // What came is no reply.
};
// "connect", "tls", "login", "lost", "silence", "protocol".
std::string_view DownCauseName(DownCause cause);

class Connection {
 public:
  using Handler = std::function<void(absl::StatusOr<Reply>)>;
  using Bytes = std::shared_ptr<const std::string>;

  // A command sent after connecting, before anything else. An error of `check` fails the connect.
  struct HandshakeStep {
    std::string command;
    std::function<absl::Status(const Reply&)> check;
  };

  // What the owner hears. Called on the loop.
  struct Events {
    std::function<void()> ready;  // Connected, handshake done.
    // A connection or a connect failed.
    std::function<void(absl::Status, DownCause, bool was_ready)> down;
    // What Redis says without being asked (a subscription). Empty: that breaks the connection.
    std::function<void(const Reply&)> push = nullptr;
  };

  // `tls` is nullptr for plain text. References and pointers are not owned and outlive this.
  Connection(EventLoop& loop, const Clock& clock, RedisAddress address, TlsContext* tls,
             ConnectionOptions options, std::vector<HandshakeStep> handshake, Events events);
  // Fails what is pending with kUnavailable.
  ~Connection();

  // Begins to connect; later calls do nothing.
  void Start();

  // Sends `head` and then `body`, together one command in wire format, one reply expected.
  // `deadline` is on the monotonic clock. What cannot be sent is answered before Send returns.
  void Send(std::string head, Bytes body, absl::Duration deadline, Handler handler);

  bool started() const { return state_ != State::kIdle; }
  bool ready() const { return state_ == State::kReady; }
  // Requests that wait for their reply, or to be sent.
  size_t in_flight() const { return pending_.size() + queue_.size(); }

 private:
  enum class State { kIdle, kConnecting, kHandshake, kReady, kWaiting };

  struct Request {
    Handler handler;  // Empty: answered already; the reply will be dropped.
    absl::Duration deadline;
    absl::Duration sent_at;
    uint64_t ends_at = 0;  // Of all bytes that this connection was given; 0 while queued.
    size_t bytes = 0;
    std::string head;  // Only while queued.
    Bytes body;        // Only while queued.
  };

  static void OnRead(bufferevent* bev, void* self);
  static void OnEvent(bufferevent* bev, short what, void* self);  // NOLINT: libevent's types.

  void Connect();
  absl::StatusOr<bufferevent*> NewSocket();
  void OnConnectTimer();
  void OnConnected();
  void OnClosed(short what);  // NOLINT: libevent's types.
  void SendHandshake();
  void HandshakeReply(size_t step, absl::StatusOr<Reply> reply);
  void BecomeReady();
  void ReadAll();
  bool FeedBytes(std::string_view bytes);
  bool OnReply(absl::StatusOr<Reply> reply);
  void Write(const std::string& head, const Bytes& body);
  void Push(const std::string& head, const Bytes& body, absl::Duration deadline, Handler handler);
  void OnTimer();
  absl::Duration SilentUntil(absl::Duration now);
  uint64_t ArrivedBytes() const;
  void Expire(std::deque<Request>& requests, absl::Duration now, absl::Duration* next);
  void WakeAt(absl::Duration time);
  void Down(DownCause cause, absl::Status why);
  void FailAll(const absl::Status& why);
  size_t OutputBytes() const;

  EventLoop& loop_;
  const Clock& clock_;
  const RedisAddress address_;
  TlsContext* const tls_;
  const ConnectionOptions options_;
  const std::vector<HandshakeStep> handshake_;
  const Events events_;
  std::minstd_rand random_;
  Backoff backoff_;

  State state_ = State::kIdle;
  bufferevent* bev_ = nullptr;
  std::unique_ptr<ReplyReader> reader_;
  std::deque<Request> pending_;  // Sent, in the order of their replies.
  std::deque<Request> queue_;    // Waiting for the handshake.
  size_t queued_bytes_ = 0;
  bool second_chance_ = false;  // A timeout was due once; the next time it counts.
  absl::Duration chance_ends_ = absl::ZeroDuration();  // Monotonic; of a command's second chance.
  absl::Status last_error_;
  absl::Status broken_;  // Why this connection must not be used any further, and
  DownCause broken_cause_ = DownCause::kProtocol;  // whose fault that is.
  absl::Duration last_read_;
  uint64_t given_ = 0;    // Bytes that this connection was given, and
  uint64_t arrived_ = 0;  // those up to the first unanswered request's end that had reached the
  bool were_left_ = false;   // other machine when that was last looked at; not all of it had.
  absl::Duration moved_at_;  // When more had than the time before.
  absl::Duration ready_since_;
  absl::Duration wake_at_ = absl::InfiniteDuration();
  LoopTimer timer_;          // Deadlines and stalls.
  LoopTimer connect_timer_;  // The end of a connect, or the start of the next.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_CONNECTION_H_
