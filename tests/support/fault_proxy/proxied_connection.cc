#include "tests/support/fault_proxy/proxied_connection.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>

namespace meridian {
namespace {

constexpr size_t kMaxHeldBytes = size_t{4} << 20;
// Callbacks come from the loop only, never out of a call that we make.
constexpr int kOptions = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;

void SendAtOnce(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void ResetOnClose(bufferevent* side) {
  if (side == nullptr || bufferevent_getfd(side) < 0) return;
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(bufferevent_getfd(side), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

size_t OutputBytes(bufferevent* side) { return evbuffer_get_length(bufferevent_get_output(side)); }

}  // namespace

ProxiedConnection::ProxiedConnection(FaultProxy& proxy, uint64_t id, int fd)
    : proxy_(proxy), id_(id), client_(bufferevent_socket_new(proxy.base_, fd, kOptions)) {
  SendAtOnce(fd);
  SetUp(&up_, &proxy.up_, &proxy.bytes_up_);
  SetUp(&down_, &proxy.down_, &proxy.bytes_down_);
  if (proxy.faults().AnyCut()) {
    lost_ = true;
  } else {
    Dial();
  }
  up_.source = down_.sink = client_;
  down_.source = up_.sink = target_;
  for (bufferevent* side : {client_, target_}) {
    if (side == nullptr) continue;
    bufferevent_setcb(
        side,
        [](bufferevent* bev, void* self) {
          auto* me = static_cast<ProxiedConnection*>(self);
          me->OnRead(me->From(bev));
        },
        [](bufferevent* bev, void* self) {
          auto* me = static_cast<ProxiedConnection*>(self);
          me->Pump(me->To(bev));
        },
        [](bufferevent* bev, short what, void* self) {  // NOLINT: libevent's type.
          static_cast<ProxiedConnection*>(self)->OnEvent(bev, what);
        },
        this);
    bufferevent_enable(side, EV_READ | EV_WRITE);
  }
}

ProxiedConnection::~ProxiedConnection() {
  for (bufferevent* side : {client_, target_}) {
    if (side != nullptr) bufferevent_free(side);
  }
  for (const Pipe* pipe : {&up_, &down_}) {
    event_free(pipe->timer);
    evbuffer_free(pipe->held);
  }
}

void ProxiedConnection::SetUp(Pipe* pipe, LinkSchedule* link, uint64_t* arrived) {
  pipe->connection = this;
  pipe->link = link;
  pipe->arrived = arrived;
  pipe->held = evbuffer_new();
  pipe->timer = evtimer_new(
      proxy_.base_,
      [](int, short, void* self) {  // NOLINT: libevent's type.
        auto* due = static_cast<Pipe*>(self);
        due->connection->Pump(*due);
      },
      pipe);
}

void ProxiedConnection::Dial() {
  target_ = bufferevent_socket_new(proxy_.base_, -1, kOptions);
  bufferevent_socket_connect(target_, const_cast<sockaddr*>(proxy_.target_.get()),
                             proxy_.target_.size);
}

void ProxiedConnection::Reset() {
  ResetOnClose(client_);
  ResetOnClose(target_);
}

bool ProxiedConnection::OnFaultsChanged() {
  for (Pipe* pipe : {&up_, &down_}) {
    if (pipe->link->faults().cut && pipe->line.next() != absl::InfiniteDuration()) Lose(*pipe);
  }
  if (lost_ && !proxy_.faults().AnyCut()) return false;
  for (Pipe* pipe : {&up_, &down_}) {
    // What waited may be due now. From the loop, because this may end the connection.
    const timeval at_once{};
    evtimer_add(pipe->timer, &at_once);
  }
  return true;
}

void ProxiedConnection::Lose(Pipe& pipe) {
  evbuffer_drain(pipe.held, evbuffer_get_length(pipe.held));
  pipe.line = DelayLine();
  lost_ = true;
  HoldBackSender(pipe);
}

void ProxiedConnection::OnRead(Pipe& pipe) {
  evbuffer* input = bufferevent_get_input(pipe.source);
  const size_t bytes = evbuffer_get_length(input);
  if (bytes == 0) return;
  if (pipe.link->faults().cut || pipe.sink == nullptr) {
    evbuffer_drain(input, bytes);
    lost_ = true;
    return;
  }
  pipe.line.Push(bytes, proxy_.clock_.Monotonic(), *pipe.link);
  evbuffer_add_buffer(pipe.held, input);
  HoldBackSender(pipe);
  Pump(pipe);
}

void ProxiedConnection::Pump(Pipe& pipe) {
  if (pipe.sink == nullptr || pipe.link->faults().stall || pipe.link->faults().cut) return;
  const absl::Duration now = proxy_.clock_.Monotonic();
  const size_t bytes = pipe.line.TakeArrived(now);
  evbuffer_remove_buffer(pipe.held, bufferevent_get_output(pipe.sink), bytes);
  *pipe.arrived += bytes;
  if (pipe.line.next() != absl::InfiniteDuration()) {
    const timeval wait = absl::ToTimeval(pipe.line.next() - now);
    evtimer_add(pipe.timer, &wait);
  }
  HoldBackSender(pipe);
  ShutWhenDone(pipe);
}

void ProxiedConnection::HoldBackSender(Pipe& pipe) {
  if (pipe.source == nullptr || pipe.sink == nullptr || pipe.source_ended) return;
  if (pipe.line.bytes() + OutputBytes(pipe.sink) < kMaxHeldBytes) {
    bufferevent_enable(pipe.source, EV_READ);
  } else {
    bufferevent_disable(pipe.source, EV_READ);
  }
}

void ProxiedConnection::ShutWhenDone(Pipe& pipe) {
  if (!pipe.line.ended() || pipe.shut || !connected_ || OutputBytes(pipe.sink) > 0) return;
  pipe.shut = true;
  shutdown(bufferevent_getfd(pipe.sink), SHUT_WR);
  if (up_.shut && down_.shut) proxy_.Forget(id_);  // Destroys this.
}

void ProxiedConnection::OnEvent(bufferevent* side, short what) {  // NOLINT: libevent's type.
  if ((what & BEV_EVENT_CONNECTED) != 0) {
    connected_ = true;
    SendAtOnce(bufferevent_getfd(side));
    Pump(up_);
    return;
  }
  Pipe& pipe = From(side);
  if ((what & BEV_EVENT_ERROR) != 0) {
    if (proxy_.faults().AnyCut()) {
      CloseSide(side);  // The other side cannot know.
      return;
    }
    Reset();
    proxy_.Forget(id_);  // Destroys this.
    return;
  }
  if ((what & BEV_EVENT_EOF) == 0) return;
  pipe.source_ended = true;
  if (pipe.link->faults().cut || pipe.sink == nullptr) {
    lost_ = true;
    return;
  }
  pipe.line.PushEnd(proxy_.clock_.Monotonic(), *pipe.link);
  Pump(pipe);
}

void ProxiedConnection::CloseSide(bufferevent* side) {
  lost_ = true;
  (side == client_ ? client_ : target_) = nullptr;
  Pipe& to = To(side);
  Pipe& from = From(side);
  from.source = nullptr;
  to.sink = nullptr;
  bufferevent_free(side);
}

}  // namespace meridian
