// meridian-node: flags -> NodeConfig -> NodeServer; runs until SIGTERM or SIGINT. SIGHUP: reads the
// policies again.

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
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  const absl::Status logging = meridian::SetUpLogging(
      {(*config)->log_level, (*config)->log_format,
       {{"node", (*config)->id}, {"region", (*config)->region}}});
  if (!logging.ok()) return Fail(logging, kExitUsage);
  absl::StatusOr<std::unique_ptr<meridian::NodeServer>> server =
      meridian::NodeServer::Start(**std::move(config), [] { kill(getpid(), SIGTERM); });
  if (!server.ok()) return Fail(server.status(), 1);

  int signal = 0;
  for (;;) {
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    (*server)->ReloadPolicies();
  }
  spdlog::info("signal {}: stopping; a second one stops at once", signal);
  // A second signal ends the process the hard way.
  struct sigaction hard = {};
  hard.sa_handler = [](int) { _exit(1); };
  sigaction(SIGTERM, &hard, nullptr);
  sigaction(SIGINT, &hard, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  (*server)->Stop(absl::Seconds(2));
  server->reset();
  spdlog::info("stopped");
  return 0;
}
