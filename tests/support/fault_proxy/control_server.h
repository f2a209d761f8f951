// ControlServer lets others change and read the faults of a proxy while it runs: lines over TCP,
// each answered by one line, in order.
//
//   set WORD...   "ok", or "error: why" and nothing changed. Words of ParseFaults.
//   status        a JSON object: listen, target, faults (as words), connections, accepted,
//   bytes_up,
//                 bytes_down.
// Thread safety: none; everything happens in the thread that runs the event base.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_CONTROL_SERVER_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_CONTROL_SERVER_H_

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "tests/support/fault_proxy/fault_proxy.h"

struct bufferevent;

namespace meridian {

class ControlServer {
 public:
  // `proxy` outlives it.
  static absl::StatusOr<std::unique_ptr<ControlServer>> Create(event_base* base,
                                                               const std::string& listen,
                                                               FaultProxy& proxy);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  const std::string& address() const { return address_; }
  // The answer to a line, without its end.
  std::string Answer(std::string_view line);

 private:
  explicit ControlServer(FaultProxy& proxy) : proxy_(proxy) {}
  static void OnAccept(evconnlistener* listener, int fd, sockaddr* peer, int size, void* self);
  void OnRead(bufferevent* caller);
  void Drop(bufferevent* caller);

  FaultProxy& proxy_;
  std::string address_;
  evconnlistener* listener_ = nullptr;
  std::set<bufferevent*> callers_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_CONTROL_SERVER_H_
