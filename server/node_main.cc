// meridian-node: flags -> NodeConfig -> NodeServer; runs until SIGTERM or SIGINT, or until a call
// has drained it. SIGHUP: reads the policies again.

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "server/app/logging.h"
#include "server/app/node_server.h"
#include "server/policy/node_config.h"
#include "server/policy/option_set.h"

namespace {

constexpr int kExitUsage = 2;
constexpr int kDrained = SIGUSR2;  // From this process alone.

// Signals that change nothing: who has called for a drain may send the usual one as well.
volatile sig_atomic_t ignored_signals = 0;

void EndAtOnce(int /*signal*/) {
  if (ignored_signals == 0) _exit(1);
  ignored_signals = 0;
}

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "meridian-node: %s\n", std::string(status.message()).c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  absl::StatusOr<std::optional<meridian::NodeConfig>> config =
      meridian::NodeConfig::Parse(argc, argv, meridian::ProcessEnvironment());
  if (!config.ok()) return Fail(config.status(), kExitUsage);
  if (!config->has_value()) return 0;

  // Every thread inherits the mask; this one waits for the signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, kDrained);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const absl::Status logging =
      meridian::SetUpLogging({(*config)->log_level,
                              (*config)->log_format,
                              {{"node", (*config)->id}, {"region", (*config)->region}}});
  if (!logging.ok()) return Fail(logging, kExitUsage);
  absl::StatusOr<std::unique_ptr<meridian::NodeServer>> server =
      meridian::NodeServer::Start(**std::move(config), [] { kill(getpid(), kDrained); });
  if (!server.ok()) return Fail(server.status(), 1);

  int signal = 0;
  for (;;) {
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    (*server)->ReloadPolicies();
  }
  ignored_signals = signal == kDrained ? 1 : 0;
  spdlog::info("{}: stopping; a second signal stops at once",
               signal == kDrained ? "drained" : fmt::format("signal {}", signal));
  struct sigaction hard = {};
  hard.sa_handler = EndAtOnce;
  sigaction(SIGTERM, &hard, nullptr);
  sigaction(SIGINT, &hard, nullptr);
  struct sigaction none = {};
  none.sa_handler = SIG_IGN;
  sigaction(kDrained, &none, nullptr);  // Of another call that waited for the same.
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Stop(absl::Seconds(2));
  server->reset();
  spdlog::info("stopped");
  return 0;
}
