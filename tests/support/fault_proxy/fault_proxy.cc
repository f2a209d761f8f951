#include "tests/support/fault_proxy/fault_proxy.h"

#include <event2/listener.h>
#include <event2/util.h>
#include <netdb.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "tests/support/fault_proxy/proxied_connection.h"

namespace meridian {
namespace {

constexpr int kBacklog = 512;

void CloseWithReset(int fd) {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(fd);
}

}  // namespace

absl::StatusOr<SocketAddress> ParseSocketAddress(const std::string& text) {
  SocketAddress address;
  address.size = sizeof(address.bytes);
  // libevent takes no port 0, but leaves a port that is not there 0.
  const std::string words(absl::StripSuffix(text, ":0"));
  if (evutil_parse_sockaddr_port(words.c_str(), reinterpret_cast<sockaddr*>(&address.bytes),
                                 &address.size) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is no numeric address and port, such as 127.0.0.1:6379"));
  }
  return address;
}

std::string ListeningAddress(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::array<char, NI_MAXHOST> host{};
  std::array<char, NI_MAXSERV> port{};
  getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(), port.data(),
              port.size(), NI_NUMERICHOST | NI_NUMERICSERV);
  const bool six = address.ss_family == AF_INET6;
  return absl::StrCat(six ? "[" : "", host.data(), six ? "]" : "", ":", port.data());
}

FaultProxy::FaultProxy(event_base* base, const Clock& clock, SocketAddress target,
                       std::string target_text)
    : base_(base), clock_(clock), target_(target), target_text_(std::move(target_text)) {}

absl::StatusOr<std::unique_ptr<FaultProxy>> FaultProxy::Create(event_base* base, const Clock& clock,
                                                               const std::string& listen,
                                                               const std::string& target) {
  ASSIGN_OR_RETURN(const SocketAddress from, ParseSocketAddress(listen));
  ASSIGN_OR_RETURN(const SocketAddress to, ParseSocketAddress(target));
  std::unique_ptr<FaultProxy> proxy(new FaultProxy(base, clock, to, target));
  proxy->listener_ =
      evconnlistener_new_bind(base, &FaultProxy::OnAccept, proxy.get(),
                              LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                              kBacklog, from.get(), from.size);
  if (proxy->listener_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("listen on ", listen, ": ", std::strerror(errno)));
  }
  proxy->address_ = ListeningAddress(evconnlistener_get_fd(proxy->listener_));
  return proxy;
}

FaultProxy::~FaultProxy() {
  connections_.clear();
  if (listener_ != nullptr) evconnlistener_free(listener_);
}

void FaultProxy::OnAccept(evconnlistener* listener, int fd, sockaddr* peer, int size, void* self) {
  auto* proxy = static_cast<FaultProxy*>(self);
  ++proxy->accepted_;
  if (proxy->faults_.refuse) {
    CloseWithReset(fd);
    return;
  }
  const uint64_t id = proxy->accepted_;
  proxy->connections_.emplace(id, std::make_unique<ProxiedConnection>(*proxy, id, fd));
}

void FaultProxy::Forget(uint64_t id) { connections_.erase(id); }

void FaultProxy::SetFaults(const Faults& faults) {
  faults_ = faults;
  up_.SetFaults(faults.up);
  down_.SetFaults(faults.down);
  for (auto it = connections_.begin(); it != connections_.end();) {
    if (!faults.refuse && it->second->OnFaultsChanged()) {
      ++it;
    } else {
      it->second->Reset();
      it = connections_.erase(it);
    }
  }
}

}  // namespace meridian
