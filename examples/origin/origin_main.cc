// meridian-example-origin: an OriginService over SQLite, to copy from and to try things on.

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "examples/origin/database.h"
#include "examples/origin/origin_service.h"

namespace meridian::example {
namespace {

struct Options {
  std::string listen = "127.0.0.1:7500";
  std::string database = ":memory:";
  std::vector<std::string> caches;
  std::string name = "origin";
  std::string ready_file;
  uint32_t delay_ms = 0;
  double failure_rate = 0;
};

int Fail(const std::string& what) {
  std::cerr << "meridian-example-origin: " << what << "\n";
  return 1;
}

int Run(const Options& options) {
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(options.database);
  if (!database.ok()) return Fail(std::string(database.status().message()));
  std::vector<std::unique_ptr<Client>> caches;
  for (const std::string& target : options.caches) {
    absl::StatusOr<std::unique_ptr<Client>> cache = Client::Create({.targets = {target}});
    if (!cache.ok()) return Fail(std::string(cache.status().message()));
    caches.push_back(*std::move(cache));
  }
  // Before any thread exists, so that all of them leave the signals to sigwait.
  OriginService service(**database);
  service.SetBehaviour(options.delay_ms, options.failure_rate);
  OriginAdmin admin(service, **database, std::move(caches));
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  // Two processes on one port would share the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddListeningPort(options.listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  builder.RegisterService(&admin);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || port == 0) return Fail("cannot listen on " + options.listen);
  const std::string address =
      absl::StrCat(options.listen.substr(0, options.listen.rfind(':')), ":", port);
  std::cout << "listens on " << address << std::endl;
  if (!options.ready_file.empty()) {
    const nlohmann::json ready = {
        {"name", options.name}, {"pid", getpid()}, {"region", ""}, {"origin", address}};
    // Written beside and renamed: nobody reads half of it.
    const std::string beside = options.ready_file + ".new";
    std::ofstream(beside) << ready.dump() << "\n";
    if (std::rename(beside.c_str(), options.ready_file.c_str()) != 0) {
      return Fail("cannot write " + options.ready_file);
    }
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  int number = 0;
  sigwait(&signals, &number);
  GetStatsResponse stats;
  service.Stats(false, &stats);
  std::cout << "loads " << stats.loads() << ", keys " << stats.keys() << ", failed "
            << stats.failed() << "\n";
  for (const auto& [name_space, keys] : stats.keys_by_namespace()) {
    std::cout << "  " << name_space << " " << keys << "\n";
  }
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  return 0;
}

}  // namespace
}  // namespace meridian::example

int main(int argc, char** argv) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  meridian::example::Options options;
  CLI::App app(
      "A source of truth for Meridian: origin.v1.OriginService over SQLite, filled with the data "
      "sets of docs/requirements.md: personas, assessments, recommendations, contexts, projects, "
      "branches and tasks. meridian.example.v1.OriginAdminService on the same port has its "
      "counters, its behaviour and its write path; grpcurl shows both.");
  app.add_option("--listen", options.listen, "host:port; port 0: any")->capture_default_str();
  app.add_option("--database", options.database, "a file; :memory: forgets all at the end")
      ->capture_default_str();
  app.add_option("--cache", options.caches,
                 "host:port of a node of a region, repeatable: there updates are invalidated");
  app.add_option("--delay-ms", options.delay_ms, "every load takes so much longer")
      ->check(CLI::Range(0, 60000))
      ->capture_default_str();
  app.add_option("--failure-rate", options.failure_rate, "share of the loads that fail")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--id", options.name, "name in the ready file")->capture_default_str();
  app.add_option("--ready-file", options.ready_file, "is written when it listens");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return meridian::example::Run(options);
}
