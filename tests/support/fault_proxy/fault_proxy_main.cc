// meridian-fault-proxy: a TCP proxy that delays, stalls, slows down and cuts what it carries, for
// tests and for scripts/local-cluster. fault_proxy.h says what each fault is, control_server.h how
// to change them while it runs.

#include <event2/event.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "common/base/clock.h"
#include "tests/support/fault_proxy/control_server.h"
#include "tests/support/fault_proxy/fault_proxy.h"

namespace {

constexpr int kExitUsage = 2;

int Fail(const absl::Status& status, int code) {
  std::fprintf(stderr, "meridian-fault-proxy: %s\n", std::string(status.message()).c_str());
  return code;
}

void StopOnSignal(event_base* base, int number) {
  event* stop = evsignal_new(
      base, number,
      [](int, short, void* loop) {  // NOLINT: libevent's type.
        event_base_loopbreak(static_cast<event_base*>(loop));
      },
      base);
  evsignal_add(stop, nullptr);
}

event_base* NewBase() {
  event_config* config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  return base;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{
      "A TCP proxy with faults, for tests.\n\n"
      "  meridian-fault-proxy --target 127.0.0.1:6379 --set 'delay=40ms jitter=5ms'\n"
      "  echo 'set cut=on' | nc -q1 HOST PORT      (--control; also: set clear, status)\n"};
  std::string listen = "127.0.0.1:0";
  std::string control = "127.0.0.1:0";
  std::string target;
  std::string words;
  std::string ready_file;
  app.add_option("--target", target, "numeric address that connections are carried to")->required();
  app.add_option("--listen", listen, "numeric address for clients (default: a free port)");
  app.add_option("--control", control, "numeric address for control lines (default: a free port)");
  app.add_option("--set", words,
                 "faults to begin with: delay=40ms jitter=5ms rate=1MiB stall=on cut=on, each also "
                 "with up. or down. before it; refuse=on");
  app.add_option("--ready-file", ready_file,
                 "JSON with pid, listen and control, written when ready");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  signal(SIGPIPE, SIG_IGN);
  const absl::StatusOr<meridian::Faults> faults = meridian::ParseFaults(words, {});
  if (!faults.ok()) return Fail(faults.status(), kExitUsage);
  const meridian::SystemClock clock;
  event_base* base = NewBase();
  auto proxy = meridian::FaultProxy::Create(base, clock, listen, target);
  if (!proxy.ok()) return Fail(proxy.status(), 1);
  (*proxy)->SetFaults(*faults);
  auto server = meridian::ControlServer::Create(base, control, **proxy);
  if (!server.ok()) return Fail(server.status(), 1);
  StopOnSignal(base, SIGTERM);
  StopOnSignal(base, SIGINT);

  const std::string ready = nlohmann::json{
      {"pid", getpid()},
      {"listen", (*proxy)->address()},
      {"control",
       (*server)->address()}}.dump();
  std::printf("%s\n", ready.c_str());
  std::fflush(stdout);
  if (!ready_file.empty()) std::ofstream(ready_file) << ready << "\n";
  event_base_dispatch(base);
  return 0;
}
