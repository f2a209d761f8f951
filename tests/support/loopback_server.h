// LoopbackServer accepts connections on a port of 127.0.0.1 that the system has chosen, and has a
// thread of its own talk to each of them.

#ifndef MERIDIAN_TESTS_SUPPORT_LOOPBACK_SERVER_H_
#define MERIDIAN_TESTS_SUPPORT_LOOPBACK_SERVER_H_

#include <cstdint>
#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian {

class LoopbackServer {
 public:
  // The connection is closed when `talk` returns.
  using Talk = std::function<void(int fd)>;

  // Accepts from now on: what `talk` needs is there already, and goes after this.
  explicit LoopbackServer(Talk talk);
  // Cuts all connections and waits until nobody talks.
  ~LoopbackServer() ABSL_LOCKS_EXCLUDED(mu_);

  uint16_t port() const { return port_; }

 private:
  void Accept() ABSL_LOCKS_EXCLUDED(mu_);

  const Talk talk_;
  int listener_ = -1;
  uint16_t port_ = 0;
  absl::Mutex mu_;
  std::set<int> connections_ ABSL_GUARDED_BY(mu_);
  std::thread acceptor_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_LOOPBACK_SERVER_H_
