#include "client/cli/signal_watch.h"

namespace meridian::cli {
namespace {

// The only thing that a signal handler may touch.
std::atomic<int> received_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

}  // namespace

const std::atomic<int>& SignalWatch::received() { return received_signal; }

SignalWatch::SignalWatch() {
  struct sigaction action = {};
  action.sa_handler = [](int signal) { received_signal = signal; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &interrupt_);
  sigaction(SIGTERM, &action, &terminate_);
}

SignalWatch::~SignalWatch() {
  sigaction(SIGINT, &interrupt_, nullptr);
  sigaction(SIGTERM, &terminate_, nullptr);
}

}  // namespace meridian::cli
