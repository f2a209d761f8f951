// SignalWatch lets a long command end cleanly: while one lives, SIGINT and SIGTERM only put
// themselves down; a second one ends the process as usual.
//
// Thread safety: one at a time, made in the main thread; `received` from any thread.

#ifndef MERIDIAN_CLIENT_CLI_SIGNAL_WATCH_H_
#define MERIDIAN_CLIENT_CLI_SIGNAL_WATCH_H_

#include <atomic>
#include <csignal>

namespace meridian::cli {

class SignalWatch {
 public:
  SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

  // The signal that came; 0: none. It stays when the watch ends.
  static const std::atomic<int>& received();

 private:
  struct sigaction interrupt_ = {};
  struct sigaction terminate_ = {};
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_SIGNAL_WATCH_H_
