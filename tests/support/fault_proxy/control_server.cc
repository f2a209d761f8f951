#include "tests/support/fault_proxy/control_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

constexpr size_t kMaxLineBytes = 4096;
constexpr int kBacklog = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::Create(event_base* base,
                                                                     const std::string& listen,
                                                                     FaultProxy& proxy) {
  ASSIGN_OR_RETURN(const SocketAddress address, ParseSocketAddress(listen));
  std::unique_ptr<ControlServer> server(new ControlServer(proxy));
  server->listener_ =
      evconnlistener_new_bind(base, &ControlServer::OnAccept, server.get(),
                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                              kBacklog, address.get(), address.size);
  if (server->listener_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("listen on ", listen, ": ", std::strerror(errno)));
  }
  server->address_ = ListeningAddress(evconnlistener_get_fd(server->listener_));
  return server;
}

ControlServer::~ControlServer() {
  for (bufferevent* caller : callers_) bufferevent_free(caller);
  if (listener_ != nullptr) evconnlistener_free(listener_);
}

void ControlServer::OnAccept(evconnlistener* listener, int fd, sockaddr* peer, int size,
                             void* self) {
  auto* server = static_cast<ControlServer*>(self);
  bufferevent* caller =
      bufferevent_socket_new(evconnlistener_get_base(listener), fd, BEV_OPT_CLOSE_ON_FREE);
  server->callers_.insert(caller);
  bufferevent_setcb(
      caller, [](bufferevent* bev, void* me) { static_cast<ControlServer*>(me)->OnRead(bev); },
      nullptr,
      [](bufferevent* bev, short what, void* me) {  // NOLINT: libevent's type.
        static_cast<ControlServer*>(me)->Drop(bev);
      },
      self);
  bufferevent_enable(caller, EV_READ | EV_WRITE);
}

void ControlServer::Drop(bufferevent* caller) {
  callers_.erase(caller);
  bufferevent_free(caller);
}

void ControlServer::OnRead(bufferevent* caller) {
  evbuffer* input = bufferevent_get_input(caller);
  size_t size = 0;
  while (char* line = evbuffer_readln(input, &size, EVBUFFER_EOL_CRLF)) {
    const std::string answer = Answer({line, size}) + "\n";
    std::free(line);  // NOLINT: libevent allocates it so.
    bufferevent_write(caller, answer.data(), answer.size());
  }
  if (evbuffer_get_length(input) > kMaxLineBytes) Drop(caller);
}

std::string ControlServer::Answer(std::string_view line) {
  if (line == "status") {
    return nlohmann::json{{"listen", proxy_.address()},
                          {"target", proxy_.target()},
                          {"faults", FaultsText(proxy_.faults())},
                          {"connections", proxy_.connections()},
                          {"accepted", proxy_.accepted()},
                          {"bytes_up", proxy_.bytes_up()},
                          {"bytes_down", proxy_.bytes_down()}}
        .dump();
  }
  if (line.substr(0, 4) != "set ") return "error: known are `set WORD...` and `status`";
  const absl::StatusOr<Faults> faults = ParseFaults(line.substr(4), proxy_.faults());
  if (!faults.ok()) return absl::StrCat("error: ", faults.status().message());
  proxy_.SetFaults(*faults);
  return "ok";
}

}  // namespace meridian
