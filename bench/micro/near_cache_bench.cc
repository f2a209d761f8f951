// What a hit in the near cache costs, through the public client: the goal is below 200 ns at the
// median. A node of this process is the owner; after the warming nothing crosses the network but
// its signs of life.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "server/app/node_server.h"
#include "server/policy/node_config.h"

namespace meridian {
namespace {

constexpr int kKeys = 10'000;
constexpr char kSpace[] = "task";

// The owner, and a client that has all keys.
struct World {
  std::unique_ptr<NodeServer> node;
  std::unique_ptr<Client> client;
  std::vector<std::string> keys;
};

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "near_cache_bench: %s\n", why.c_str());
  std::exit(1);
}

World* MakeWorld() {
  auto* world = new World;
  const std::filesystem::path ready =
      std::filesystem::temp_directory_path() /
      absl::StrCat("near_cache_bench-", absl::ToUnixNanos(absl::Now()));
  const std::string file = ready.string();
  const char* const words[] = {"meridian-node", "--id",           "owner",       "--data-address",
                               "127.0.0.1:0",   "--peer-address", "127.0.0.1:0", "--admin-address",
                               "127.0.0.1:0",   "--http-address", "127.0.0.1:0", "--ready-file",
                               file.c_str()};
  const auto config = NodeConfig::Parse(static_cast<int>(std::size(words)), words, {});
  if (!config.ok() || !*config) Fail(std::string(config.status().message()));
  auto node = NodeServer::Start(**config);
  if (!node.ok()) Fail(std::string(node.status().message()));
  world->node = *std::move(node);
  const nlohmann::json addresses = nlohmann::json::parse(std::ifstream(ready));
  std::filesystem::remove(ready);
  ClientOptions options;
  options.targets = {addresses["data"]};
  options.near_cache_bytes = 64 << 20;
  options.near_cache_ttl = absl::Hours(1);
  world->client = *Client::Create(options);
  if (!world->client->WaitUntilReady(absl::Seconds(5)).ok()) Fail("no topology");
  const std::string value(100, 'v');
  for (int i = 0; i < kKeys; ++i) {
    world->keys.push_back(absl::StrCat("task:", i, ":detail"));
    if (!world->client->Set(kSpace, world->keys.back(), value).ok()) Fail("a Set failed");
  }
  while (world->client->near_stats().followed_slots < 1024) absl::SleepFor(absl::Milliseconds(1));
  const std::vector<std::string_view> views(world->keys.begin(), world->keys.end());
  for (int round = 0; round < 100; ++round) {
    size_t hits = 0;
    for (const GetResult& result : world->client->BatchGet(kSpace, views)) {
      hits += result.source == ResultSource::kNear ? 1 : 0;
    }
    if (hits == views.size()) return world;
  }
  Fail("the near cache does not fill");
}

// One Get after the other; p50_ns is the median of means of 32.
void BM_NearHit(benchmark::State& state) {
  static World& world = *MakeWorld();
  constexpr int kGroup = 32;
  std::vector<double> groups;
  uint64_t random = 1 + static_cast<uint64_t>(state.thread_index());
  size_t other = 0;
  auto began = std::chrono::steady_clock::now();
  int in_group = 0;
  for (auto _ : state) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    const GetResult result = world.client->Get(kSpace, world.keys[(random >> 33) % kKeys]);
    other += result.source == ResultSource::kNear ? 0 : 1;
    benchmark::DoNotOptimize(result.value.data());
    if (++in_group == kGroup) {
      const auto now = std::chrono::steady_clock::now();
      groups.push_back(std::chrono::duration<double, std::nano>(now - began).count() / kGroup);
      began = now;
      in_group = 0;
    }
  }
  if (groups.empty()) return;
  std::nth_element(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(groups.size() / 2),
                   groups.end());
  state.counters["p50_ns"] =
      benchmark::Counter(groups[groups.size() / 2], benchmark::Counter::kAvgThreads);
  state.counters["not_near"] = static_cast<double>(other);
}

BENCHMARK(BM_NearHit)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace meridian
