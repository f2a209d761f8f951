// meridian-coordinator: flags -> CoordinatorConfig -> CoordinatorServer; nothing else. SIGHUP:
// reads the settings of warming again.

#include <pthread.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "server/app/coordinator_config.h"
#include "server/app/coordinator_server.h"
#include "server/app/logging.h"
#include "server/app/ready_file.h"
#include "server/policy/build_info.h"
#include "server/policy/option_set.h"

namespace meridian {
namespace {

// They wait for sigwait, in this thread and in those that it starts.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int Fail(const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "meridian-coordinator: %s\n", std::string(status.message()).c_str());
  return exit_code;
}

int Main(int argc, char** argv) {
  absl::StatusOr<std::optional<CoordinatorConfig>> parsed =
      CoordinatorConfig::Parse(argc, argv, ProcessEnvironment());
  if (!parsed.ok()) return Fail(parsed.status(), 2);
  if (!parsed->has_value()) return 0;
  const CoordinatorConfig& config = **parsed;

  const sigset_t signals = BlockSignals();  // Before there are threads: they inherit it.
  const absl::Status log =
      SetUpLogging({.level = config.log_level,
                    .format = config.log_format,
                    .fields = {{"node", config.id}, {"region", config.region}}});
  if (!log.ok()) return Fail(log, 2);
  spdlog::info("{} starts, region {}", BuildInfoText("meridian-coordinator"), config.region);
  absl::StatusOr<std::unique_ptr<CoordinatorServer>> server = CoordinatorServer::Start(config);
  if (!server.ok()) return Fail(server.status(), 1);
  spdlog::info("gRPC on {}, HTTP on {}", (*server)->grpc_address(), (*server)->http_address());
  const absl::Status ready =
      WriteReadyFile(config.ready_file, {{"name", config.id},
                                         {"grpc", (*server)->grpc_address()},
                                         {"http", (*server)->http_address()}});
  if (!ready.ok()) return Fail(ready, 1);
  int signal = 0;
  for (;;) {
    sigwait(&signals, &signal);
    if (signal != SIGHUP) break;
    (*server)->ReloadWarming();
  }
  spdlog::info("stops: signal {}", signal);
  (*server)->Stop();
  spdlog::info("stopped");
  return 0;
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) { return meridian::Main(argc, argv); }
