#include "server/l2/connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

constexpr size_t kCopyBelowBytes = 4096;  // Larger commands are sent from where they are.
constexpr size_t kReadBytes = 64 << 10;
constexpr int kReadsPerWakeUp = 16;          // Then others on the loop have their turn.
constexpr size_t kLibeventReadBytes = 4096;  // What one bufferevent read takes at most.
// When this process was not running for a while, the answer may lie in the socket while the timer
// says that time is over, or the command may not have been written yet: Redis gets as long as the
// timer was late, and this at least.
constexpr absl::Duration kSecondChance = absl::Milliseconds(5);
constexpr absl::Duration kStableAfter = absl::Seconds(1);
// To a server that took a connection away which had worked: a replica that becomes the primary does
// so, and takes the next one at once.
constexpr absl::Duration kAtOnce = absl::Milliseconds(5);
// Bytes that move forgive silence for so long.
constexpr absl::Duration kLongestMove = absl::Minutes(5);
constexpr size_t kUnseenBytes = size_t{4} << 20;  // What a path may hold, about.

void ReleaseBytes(const void*, size_t, void* bytes) {
  delete static_cast<std::shared_ptr<const std::string>*>(bytes);
}

bool IsConnected(int fd) {
  sockaddr_storage address;
  socklen_t size = sizeof(address);
  return getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
}

}  // namespace

std::string_view DownCauseName(DownCause cause) {
  switch (cause) {
    case DownCause::kConnect:
      return "connect";
    case DownCause::kTls:
      return "tls";
    case DownCause::kLogin:
      return "login";
    case DownCause::kLost:
      return "lost";
    case DownCause::kSilence:
      return "silence";
    case DownCause::kProtocol:
      return "protocol";
  }
  return "";
}

Connection::Connection(EventLoop& loop, const Clock& clock, RedisAddress address, TlsContext* tls,
                       ConnectionOptions options, std::vector<HandshakeStep> handshake,
                       Events events)
    : loop_(loop),
      clock_(clock),
      address_(std::move(address)),
      tls_(tls),
      options_(std::move(options)),
      handshake_(std::move(handshake)),
      events_(std::move(events)),
      random_(std::random_device()()),
      backoff_(options_.reconnect),
      timer_(loop, [this] { OnTimer(); }),
      connect_timer_(loop, [this] { OnConnectTimer(); }) {}

Connection::~Connection() {
  state_ = State::kIdle;
  if (bev_ != nullptr) bufferevent_free(bev_);
  bev_ = nullptr;
  last_error_ = absl::UnavailableError("L2_UNAVAILABLE: the connection was closed on our side");
  FailAll(last_error_);
}

void Connection::Start() {
  if (state_ == State::kIdle) Connect();
}

void Connection::OnConnectTimer() {
  if (state_ == State::kWaiting) {
    Connect();
  } else if (!second_chance_) {
    second_chance_ = true;
    connect_timer_.Start(kSecondChance);
  } else if (state_ == State::kHandshake) {
    Down(DownCause::kSilence, absl::UnavailableError("the handshake took too long"));
  } else if (tls_ != nullptr && IsConnected(bufferevent_getfd(bev_))) {
    Down(DownCause::kTls,
         absl::UnavailableError("TLS: the handshake took too long; does the server speak TLS?"));
  } else {
    Down(DownCause::kConnect, absl::UnavailableError("connecting took too long"));
  }
}

void Connection::Connect() {
  state_ = State::kConnecting;
  second_chance_ = false;
  reader_ = std::make_unique<ReplyReader>(options_.limits);
  broken_ = absl::OkStatus();
  broken_cause_ = DownCause::kProtocol;
  given_ = arrived_ = 0;
  were_left_ = false;
  moved_at_ = -absl::InfiniteDuration();
  absl::StatusOr<bufferevent*> socket = NewSocket();
  if (!socket.ok()) {
    Down(DownCause::kTls, socket.status());
    return;
  }
  bev_ = *socket;
  bufferevent_setcb(bev_, &Connection::OnRead, nullptr, &Connection::OnEvent, this);
  bufferevent_set_max_single_write(bev_, 1 << 20);
  connect_timer_.Start(options_.connect_timeout);
  if (bufferevent_socket_connect_hostname(bev_, loop_.dns(), AF_UNSPEC, address_.host.c_str(),
                                          address_.port) != 0) {
    Down(DownCause::kConnect, absl::UnavailableError("cannot begin to connect"));
  }
}

absl::StatusOr<bufferevent*> Connection::NewSocket() {
  // Deferred, so that no event arrives on the stack of the calls that follow.
  constexpr int kOptions = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
  if (tls_ == nullptr) return bufferevent_socket_new(loop_.base(), -1, kOptions);
  ASSIGN_OR_RETURN(ssl_st * session, tls_->NewSession(address_.host));
  bufferevent* bev = bufferevent_openssl_socket_new(loop_.base(), -1, session,
                                                    BUFFEREVENT_SSL_CONNECTING, kOptions);
  bufferevent_set_max_single_read(bev, kReadBytes * kReadsPerWakeUp);
  // A Redis that is killed says no farewell; replies have their own framing.
  bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
  return bev;
}

void Connection::OnEvent(bufferevent*, short what, void* self) {  // NOLINT: libevent's types.
  auto* connection = static_cast<Connection*>(self);
  if ((what & BEV_EVENT_CONNECTED) != 0) {
    connection->OnConnected();
  } else {
    connection->OnClosed(what);
  }
}

void Connection::OnClosed(short what) {  // NOLINT: libevent's types.
  const int socket_error = EVUTIL_SOCKET_ERROR();
  DownCause cause = state_ == State::kConnecting ? DownCause::kConnect : DownCause::kLost;
  std::string why = "the connection was closed";
  if ((what & BEV_EVENT_ERROR) != 0) {
    const int dns_error = bufferevent_socket_get_dns_error(bev_);
    if (dns_error != 0) {
      why = evutil_gai_strerror(dns_error);
    } else if (socket_error != 0) {
      why = evutil_socket_error_to_string(socket_error);
    }
  }
  if (tls_ != nullptr) {
    if (std::string problem = tls_->ProblemOf(bev_, address_.host); !problem.empty()) {
      cause = DownCause::kTls;
      why = std::move(problem);
    }
  }
  Down(cause, absl::UnavailableError(why));
}

void Connection::OnConnected() {
  const int one = 1;
  setsockopt(bufferevent_getfd(bev_), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  bufferevent_enable(bev_, EV_READ | EV_WRITE);
  state_ = State::kHandshake;
  second_chance_ = false;
  last_read_ = clock_.Monotonic();
  connect_timer_.Start(options_.command_timeout);
  if (handshake_.empty()) {
    BecomeReady();
  } else {
    SendHandshake();
  }
}

void Connection::SendHandshake() {
  for (size_t step = 0; step < handshake_.size(); ++step) {
    Push("", std::make_shared<const std::string>(handshake_[step].command),
         clock_.Monotonic() + options_.command_timeout,
         [this, step](absl::StatusOr<Reply> reply) { HandshakeReply(step, std::move(reply)); });
  }
}

void Connection::HandshakeReply(size_t step, absl::StatusOr<Reply> reply) {
  if (state_ != State::kHandshake) return;
  absl::Status status = reply.ok() ? handshake_[step].check(*reply) : reply.status();
  if (!status.ok()) {
    broken_ = std::move(status);
    broken_cause_ = DownCause::kLogin;
  } else if (step + 1 == handshake_.size()) {
    BecomeReady();
  }
}

void Connection::BecomeReady() {
  state_ = State::kReady;
  second_chance_ = false;
  connect_timer_.Cancel();
  ready_since_ = clock_.Monotonic();
  last_error_ = absl::OkStatus();
  std::deque<Request> queue;
  queue.swap(queue_);
  queued_bytes_ = 0;
  for (Request& request : queue) {
    if (!request.handler) continue;
    Push(request.head, request.body, request.deadline, std::move(request.handler));
  }
  if (events_.ready) events_.ready();
}

void Connection::Send(std::string head, Bytes body, absl::Duration deadline, Handler handler) {
  const absl::Duration now = clock_.Monotonic();
  if (deadline <= now) {
    handler(absl::DeadlineExceededError("the deadline passed before the command was sent"));
  } else if (state_ == State::kIdle || state_ == State::kWaiting) {
    handler(last_error_.ok() ? absl::UnavailableError("L2_UNAVAILABLE: not connected")
                             : last_error_);
  } else if (pending_.size() + queue_.size() >= options_.max_in_flight) {
    handler(absl::ResourceExhaustedError(absl::StrCat("L2_OVERLOADED: ", options_.max_in_flight,
                                                      " requests to Redis are in flight")));
  } else if (const size_t output = OutputBytes();
             output > 0 && output + head.size() + body->size() > options_.max_output_bytes) {
    handler(absl::ResourceExhaustedError(
        absl::StrCat("L2_OVERLOADED: ", output, " bytes to Redis are waiting")));
  } else if (state_ == State::kReady) {
    Push(head, body, deadline, std::move(handler));
  } else {
    queued_bytes_ += head.size() + body->size();
    queue_.push_back({std::move(handler), deadline, now, 0, 0, std::move(head), std::move(body)});
    WakeAt(deadline);
  }
}

void Connection::Push(const std::string& head, const Bytes& body, absl::Duration deadline,
                      Handler handler) {
  Write(head, body);
  const size_t bytes = head.size() + body->size();
  given_ += bytes;
  pending_.push_back(
      {std::move(handler), deadline, clock_.Monotonic(), given_, bytes, "", nullptr});
  WakeAt(deadline);
}

void Connection::Write(const std::string& head, const Bytes& body) {
  evbuffer* output = bufferevent_get_output(bev_);
  if (!head.empty()) evbuffer_add(output, head.data(), head.size());
  if (body->size() < kCopyBelowBytes) {
    evbuffer_add(output, body->data(), body->size());
    return;
  }
  auto* held = new Bytes(body);
  if (evbuffer_add_reference(output, body->data(), body->size(), &ReleaseBytes, held) != 0) {
    delete held;
    broken_ = absl::ResourceExhaustedError("no memory for the command");
  }
}

size_t Connection::OutputBytes() const {
  return queued_bytes_ + (bev_ == nullptr ? 0 : evbuffer_get_length(bufferevent_get_output(bev_)));
}

void Connection::OnRead(bufferevent*, void* self) { static_cast<Connection*>(self)->ReadAll(); }

// What the bufferevent has read, then the socket itself: a bufferevent takes 4 KiB a wake-up, which
// would cost three system calls for each of them. Under TLS the socket has nothing for us to read:
// the bufferevent takes more at once there.
void Connection::ReadAll() {
  last_read_ = clock_.Monotonic();
  second_chance_ = false;
  evbuffer* input = bufferevent_get_input(bev_);
  const bool more = tls_ == nullptr && evbuffer_get_length(input) >= kLibeventReadBytes;
  while (const size_t size = evbuffer_get_contiguous_space(input)) {
    const char* bytes =
        reinterpret_cast<const char*>(evbuffer_pullup(input, static_cast<ev_ssize_t>(size)));
    if (!FeedBytes(std::string_view(bytes, size))) return;
    evbuffer_drain(input, size);
  }
  if (!more) return;
  static thread_local char buffer[kReadBytes];
  for (int i = 0; i < kReadsPerWakeUp; ++i) {
    const ssize_t size = recv(bufferevent_getfd(bev_), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (size <= 0) return;  // An end or an error: the bufferevent sees it next and says so.
    if (!FeedBytes(std::string_view(buffer, static_cast<size_t>(size)))) return;
    if (static_cast<size_t>(size) < sizeof(buffer)) return;
  }
}

// Returns false when the connection is gone.
bool Connection::FeedBytes(std::string_view bytes) {
  absl::Status status = reader_->Feed(
      bytes, [this](absl::StatusOr<Reply> reply) { return OnReply(std::move(reply)); });
  const DownCause cause = status.ok() ? broken_cause_ : DownCause::kProtocol;
  if (status.ok()) status = broken_;
  if (status.ok()) return true;
  Down(cause, std::move(status));
  return false;
}

bool Connection::OnReply(absl::StatusOr<Reply> reply) {
  if (pending_.empty() && state_ == State::kReady && events_.push && reply.ok()) {
    events_.push(*reply);
    return true;
  }
  if (pending_.empty()) {
    broken_ = absl::UnavailableError("Redis answered what nobody asked");
    return false;
  }
  const Handler handler = std::move(pending_.front().handler);
  arrived_ = pending_.front().ends_at;
  were_left_ = false;
  pending_.pop_front();
  if (handler) handler(std::move(reply));
  return broken_.ok();
}

void Connection::WakeAt(absl::Duration time) {
  if (time >= wake_at_) return;
  wake_at_ = time;
  timer_.Start(time - clock_.Monotonic());
}

void Connection::OnTimer() {
  const absl::Duration now = clock_.Monotonic();
  const absl::Duration late = now - std::exchange(wake_at_, absl::InfiniteDuration());
  absl::Duration next = absl::InfiniteDuration();
  if (!pending_.empty()) {
    const absl::Duration silent_until = SilentUntil(now);
    if (now >= silent_until && second_chance_ && now >= chance_ends_) {
      Down(DownCause::kSilence,
           absl::UnavailableError(
               absl::StrCat("no answer for ", absl::FormatDuration(options_.command_timeout))));
      return;
    }
    if (now >= silent_until && !second_chance_) {
      chance_ends_ = now + std::clamp(late, kSecondChance, options_.command_timeout);
    }
    second_chance_ = now >= silent_until;
    next = second_chance_ ? chance_ends_ : silent_until;
  }
  Expire(pending_, now, &next);
  Expire(queue_, now, &next);
  // A millisecond later than due: libevent's clock is coarser than ours.
  if (next != absl::InfiniteDuration()) WakeAt(next + absl::Milliseconds(1));
}

uint64_t Connection::ArrivedBytes() const {
  int unacknowledged = 0;
  if (ioctl(bufferevent_getfd(bev_), SIOCOUTQ, &unacknowledged) != 0) return given_;
  const uint64_t left = evbuffer_get_length(bufferevent_get_output(bev_)) +
                        static_cast<uint64_t>(std::max(unacknowledged, 0));
  return given_ - std::min(given_, left);  // Under TLS it is a little more than was given.
}

// Looked at when it is due, so that whoever stands still is found out one time-out later at most. A
// small request has reached the other machine by then, whoever stands still there.
absl::Duration Connection::SilentUntil(absl::Duration now) {
  const Request& front = pending_.front();
  const absl::Duration sign = std::max(front.sent_at, last_read_);
  if (now < sign + options_.command_timeout) return sign + options_.command_timeout;
  // Of what is not its turn yet nobody expects an answer.
  const uint64_t arrived = std::min(ArrivedBytes(), front.ends_at);
  const bool are_left = arrived < front.ends_at;
  if (arrived > arrived_ && (are_left || were_left_)) moved_at_ = now;
  arrived_ = std::max(arrived, arrived_);
  were_left_ = are_left;
  absl::Duration until = std::max(sign, std::min(moved_at_, sign + kLongestMove));
  if (!are_left) {
    until += absl::Seconds(static_cast<double>(std::min(front.bytes, kUnseenBytes)) /
                           options_.slowest_bytes_per_second);
  }
  return until + options_.command_timeout;
}

void Connection::Expire(std::deque<Request>& requests, absl::Duration now, absl::Duration* next) {
  // By index: a handler may send, which appends.
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].handler) continue;
    if (requests[i].deadline > now) {
      *next = std::min(*next, requests[i].deadline);
      continue;
    }
    const Handler handler = std::exchange(requests[i].handler, nullptr);
    handler(absl::DeadlineExceededError("Redis did not answer in time"));
  }
  while (&requests == &queue_ && !queue_.empty() && !queue_.front().handler) {
    queued_bytes_ -= queue_.front().head.size() + queue_.front().body->size();
    queue_.pop_front();
  }
}

void Connection::Down(DownCause cause, absl::Status why) {
  const bool was_ready = state_ == State::kReady;
  const absl::Duration now = clock_.Monotonic();
  if (bev_ != nullptr) bufferevent_free(bev_);
  bev_ = nullptr;
  broken_ = absl::OkStatus();
  last_error_ =
      absl::Status(why.code() == absl::StatusCode::kUnauthenticated ||
                           why.code() == absl::StatusCode::kPermissionDenied
                       ? why.code()
                       : absl::StatusCode::kUnavailable,
                   absl::StrCat("L2_UNAVAILABLE: Redis ", address_.text(), ": ", why.message()));
  const bool was_stable = was_ready && now - ready_since_ >= kStableAfter;
  if (was_stable) backoff_.Reset();
  state_ = State::kWaiting;
  const double random = std::uniform_real_distribution<double>(0.0, 1.0)(random_);
  connect_timer_.Start(was_stable && cause == DownCause::kLost ? WithJitter(kAtOnce, 1, random)
                                                               : backoff_.Next(random));
  // First the owner: what a failed request's caller asks it next must fit.
  if (events_.down) events_.down(last_error_, cause, was_ready);
  FailAll(last_error_);
}

void Connection::FailAll(const absl::Status& why) {
  std::deque<Request> requests;
  requests.swap(pending_);
  std::move(queue_.begin(), queue_.end(), std::back_inserter(requests));
  queue_.clear();
  queued_bytes_ = 0;
  for (Request& request : requests) {
    if (request.handler) request.handler(why);
  }
}

}  // namespace meridian
