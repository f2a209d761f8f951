// meridian-example-load: what the cache spares the database. Asks for values as users do, most of
// them for few: once from the origin alone, once from the cluster, and compares what the database
// had to do.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"
#include "origin_admin.grpc.pb.h"

namespace meridian::example {
namespace {

using v1::GetStatsResponse;
using v1::OriginAdminService;

struct Options {
  std::string origin;
  std::vector<std::string> targets;
  int requests = 20'000;
  uint64_t seed = 1;
  double most = 1.0;
  bool cold = false;
};

constexpr const char* kNamespaces[] = {
    "assessment", "dashboard", "recommendations", "context", "project", "git_branch", "task"};

// Keys of the example's data sets; a Zipf distribution over each.
class Traffic {
 public:
  explicit Traffic(uint64_t seed) : random_(seed) {}

  std::pair<std::string, std::string> Next() {
    switch (Below(8)) {
      case 0:
      case 1:
        return {"assessment", absl::StrCat("assessment:", Zipf(1000), ":details")};
      case 2:
        return {"dashboard", absl::StrCat("dashboard:overview:", Zipf(50))};
      case 3:
        return {"recommendations", absl::StrCat("recommendations:", Zipf(1000), ":list")};
      case 4:
        return {"context", absl::StrCat("context:", Zipf(300))};
      case 5:
        return {"project", absl::StrCat("project:", Zipf(20))};
      case 6:
        return {"git_branch", absl::StrCat("git_branch:", Zipf(20), "-", Below(3))};
      default:
        return {"task", absl::StrCat("task:", Zipf(20), "-", Below(3), "-", Below(5))};
    }
  }

 private:
  int Below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  // Rank r with a probability of about 1 / (r + 1).
  int Zipf(int n) {
    const double u = std::uniform_real_distribution<double>()(random_);
    return std::min(n - 1, static_cast<int>(std::pow(static_cast<double>(n + 1), u)) - 1);
  }

  std::mt19937_64 random_;
};

struct Tally {
  uint64_t keys = 0;  // That the database was asked for.
  double seconds = 0;
  int errors = 0;
  int wrong = 0;
};

uint64_t KeysOf(OriginAdminService::Stub& admin) {
  grpc::ClientContext context;
  GetStatsResponse stats;
  admin.GetStats(&context, {}, &stats);
  return stats.keys();
}

int Run(const Options& options) {
  const auto channel = grpc::CreateChannel(options.origin, grpc::InsecureChannelCredentials());
  const auto origin = origin::v1::OriginService::NewStub(channel);
  const auto admin = OriginAdminService::NewStub(channel);
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.targets = options.targets, .get_timeout = absl::Seconds(2)});
  if (!client.ok() || !(*client)->WaitUntilReady(absl::Seconds(5)).ok()) {
    std::cerr << "meridian-example-load: no node answers\n";
    return 1;
  }
  const auto truth = [&](const std::pair<std::string, std::string>& key, std::string* value) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    origin::v1::BatchLoadRequest request;
    origin::v1::BatchLoadResponse response;
    request.set_namespace_(key.first);
    request.add_keys(key.second);
    if (!origin->BatchLoad(&context, request, &response).ok() || response.results_size() != 1) {
      return false;
    }
    *value = response.results(0).value();
    return true;
  };
  std::vector<std::string> expected(static_cast<size_t>(options.requests));
  Tally without;
  Tally with;
  uint64_t before = KeysOf(*admin);
  absl::Time began = absl::Now();
  Traffic first(options.seed);
  for (std::string& value : expected) {
    if (!truth(first.Next(), &value)) ++without.errors;
  }
  without.seconds = absl::ToDoubleSeconds(absl::Now() - began);
  without.keys = KeysOf(*admin) - before;

  for (const char* name_space : kNamespaces) {
    if (options.cold && !(*client)->InvalidateNamespace(name_space).ok()) {
      std::cerr << "meridian-example-load: cannot empty " << name_space << "\n";
      return 1;
    }
  }
  before = KeysOf(*admin);
  began = absl::Now();
  Traffic second(options.seed);
  for (const std::string& value : expected) {
    const auto [name_space, key] = second.Next();
    const GetResult result = (*client)->Get(name_space, key);
    if (result.status == ResultStatus::kError) {
      if (with.errors++ == 0) {
        std::cerr << name_space << " " << key << ": " << result.error->message << "\n";
      }
    } else if (result.value != value) {
      ++with.wrong;
    }
  }
  with.seconds = absl::ToDoubleSeconds(absl::Now() - began);
  with.keys = KeysOf(*admin) - before;

  const double share =
      without.keys == 0 ? 1 : static_cast<double>(with.keys) / static_cast<double>(without.keys);
  std::printf("%-16s%12s%18s%10s%10s\n", "", "requests", "database loads", "errors", "seconds");
  std::printf("%-16s%12d%18llu%10d%10.1f\n", "without cache", options.requests,
              static_cast<unsigned long long>(without.keys), without.errors, without.seconds);
  std::printf("%-16s%12d%18llu%10d%10.1f\n", "with cache", options.requests,
              static_cast<unsigned long long>(with.keys), with.errors, with.seconds);
  std::printf("database load with the cache%s: %.1f %% of that without; wrong answers: %d\n",
              options.cold ? ", which was empty at first" : "", 100 * share, with.wrong);
  return with.errors + without.errors + with.wrong == 0 && share <= options.most ? 0 : 1;
}

}  // namespace
}  // namespace meridian::example

int main(int argc, char** argv) {
  meridian::example::Options options;
  CLI::App app(
      "Asks for the example's values as users do, once from the origin alone and once from a "
      "cluster that loads from it, compares the answers, and says what the database had to do.");
  app.add_option("--origin", options.origin, "host:port of meridian-example-origin")->required();
  app.add_option("--target", options.targets, "host:port of a node, repeatable")->required();
  app.add_option("--requests", options.requests, "how many")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "of the traffic")->capture_default_str();
  app.add_flag("--cold", options.cold, "empties the example's namespaces of the cluster first");
  app.add_option("--max-share", options.most,
                 "exit code 1 when the database has a greater share of the load, 0..1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return meridian::example::Run(options);
}
