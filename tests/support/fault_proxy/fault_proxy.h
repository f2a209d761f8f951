// FaultProxy carries TCP connections from an address of its own to a target, and does to them what
// its faults say.
//
// What the faults are, as the two ends see them:
// - delay, jitter, rate: bytes arrive later, in their order. Connecting itself is not delayed.
// - stall: silence; all that was sent arrives when it ends.
// - cut: silence; what is sent meanwhile is lost. A new connection opens and stays silent. When the
// cut
//   ends, connections that lost something are reset, as TCP gives up; others go on as if nothing
//   was.
// - refuse: connections are reset, new ones at once.
// The end of a stream travels like its bytes; a reset ends both sides at once. At most 4 MiB wait
// in a direction of a connection, then its sender is held back. Thread safety: none; everything
// happens in the thread that runs the event base, which outlives this.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_H_

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "tests/support/fault_proxy/delay_line.h"
#include "tests/support/fault_proxy/faults.h"

struct event_base;
struct evconnlistener;

namespace meridian {

class ProxiedConnection;

// A numeric address and port.
struct SocketAddress {
  sockaddr_storage bytes = {};
  int size = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&bytes); }
};

absl::StatusOr<SocketAddress> ParseSocketAddress(const std::string& text);
// host:port of where a socket listens.
std::string ListeningAddress(int fd);

class FaultProxy {
 public:
  // Both addresses are numeric; port 0 of `listen` is chosen by the OS.
  static absl::StatusOr<std::unique_ptr<FaultProxy>> Create(event_base* base, const Clock& clock,
                                                            const std::string& listen,
                                                            const std::string& target);
  ~FaultProxy();
  FaultProxy(const FaultProxy&) = delete;
  FaultProxy& operator=(const FaultProxy&) = delete;

  const std::string& address() const { return address_; }
  const std::string& target() const { return target_text_; }
  const Faults& faults() const { return faults_; }
  void SetFaults(const Faults& faults);

  size_t connections() const { return connections_.size(); }  // Open now.
  uint64_t accepted() const { return accepted_; }
  uint64_t bytes_up() const { return bytes_up_; }  // That arrived.
  uint64_t bytes_down() const { return bytes_down_; }

 private:
  friend class ProxiedConnection;

  FaultProxy(event_base* base, const Clock& clock, SocketAddress target, std::string target_text);
  static void OnAccept(evconnlistener* listener, int fd, sockaddr* peer, int size, void* self);
  void Forget(uint64_t id);

  event_base* const base_;
  const Clock& clock_;
  const SocketAddress target_;
  const std::string target_text_;
  std::string address_;
  evconnlistener* listener_ = nullptr;
  Faults faults_;
  LinkSchedule up_{1};
  LinkSchedule down_{2};
  uint64_t accepted_ = 0;
  uint64_t bytes_up_ = 0;
  uint64_t bytes_down_ = 0;
  std::map<uint64_t, std::unique_ptr<ProxiedConnection>> connections_;  // By number of acceptance.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_H_
