// meridian-load: how many Gets, BatchGets or BatchSets a second one node answers, closed loop.

#include <grpcpp/support/byte_buffer.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "bench/load/closed_loop.h"
#include "client/cpp/client.h"
#include "common/base/number_option.h"
#include "meridian/cache/v1/cache_service.pb.h"

namespace meridian {
namespace {

struct LoadOptions {
  std::string target = "127.0.0.1:7400";
  std::string name_space = "bench";
  std::string op = "get";
  std::string source;
  int keys = 10'000;
  int value_size = 100;
  int batch = 100;
  int in_flight = 50;
  int connections = 2;
  double seconds = 4;
  bool fill = true;
  bool json = true;
};

constexpr absl::Duration kTtl = absl::Hours(1);

const std::map<std::string, std::string> kMethods = {
    {"get", "/meridian.cache.v1.CacheService/Get"},
    {"batchget", "/meridian.cache.v1.CacheService/BatchGet"},
    {"batchset", "/meridian.cache.v1.CacheService/BatchSet"}};

const std::map<std::string, cache::v1::Source> kSources = {{"l1", cache::v1::SOURCE_L1},
                                                           {"l2", cache::v1::SOURCE_L2}};

// As redis-benchmark spells them.
std::string KeyOf(int i) { return absl::StrFormat("key:%012d", i); }

bool Fill(const LoadOptions& options) {
  auto client = Client::Create({.targets = {options.target}});
  if (!client.ok()) {
    std::fprintf(stderr, "error: %s\n", std::string(client.status().message()).c_str());
    return false;
  }
  CallOptions call;
  call.timeout = absl::Seconds(30);
  for (int first = 0; first < options.keys; first += 1000) {
    std::vector<SetItem> items;
    for (int i = first; i < std::min(options.keys, first + 1000); ++i) {
      items.push_back(SetItem{
          .key = KeyOf(i), .value = std::string(options.value_size, 'a' + i % 26), .ttl = kTtl});
    }
    for (const WriteResult& result :
         (*client)->BatchSet(options.name_space, std::move(items), call)) {
      if (result.ok()) continue;
      std::fprintf(stderr, "error: filling %s: %s: %s\n", options.target.c_str(),
                   result.error == nullptr ? "" : result.error->reason.c_str(),
                   result.error == nullptr ? "conflict" : result.error->message.c_str());
      return false;
    }
  }
  return true;
}

template <typename Message>
grpc::ByteBuffer Encode(const Message& message) {
  const std::string bytes = message.SerializeAsString();
  const grpc::Slice slice(bytes.data(), bytes.size());
  return grpc::ByteBuffer(&slice, 1);
}

// The same keys in another order for every request.
std::vector<grpc::ByteBuffer> Requests(const LoadOptions& options) {
  absl::BitGen random;
  const auto draw = [&] { return KeyOf(absl::Uniform(random, 0, options.keys)); };
  std::vector<grpc::ByteBuffer> requests;
  for (int i = 0; i < 2000; ++i) {
    if (options.op == "get") {
      cache::v1::GetRequest request;
      request.set_namespace_(options.name_space);
      request.set_key(draw());
      requests.push_back(Encode(request));
    } else if (options.op == "batchset") {
      cache::v1::BatchSetRequest request;
      request.set_namespace_(options.name_space);
      for (int k = 0; k < options.batch; ++k) {
        cache::v1::SetEntry* entry = request.add_entries();
        entry->set_key(draw());
        entry->set_value(std::string(options.value_size, static_cast<char>('a' + i % 26)));
        entry->set_ttl_ms(absl::ToInt64Milliseconds(kTtl));
      }
      requests.push_back(Encode(request));
    } else {
      cache::v1::BatchGetRequest request;
      request.set_namespace_(options.name_space);
      for (int k = 0; k < options.batch; ++k) request.add_keys(draw());
      requests.push_back(Encode(request));
    }
  }
  return requests;
}

double Percentile(std::vector<float>& sorted, double share) {
  if (sorted.empty()) return 0;
  const size_t rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return std::round(sorted[std::max<size_t>(rank, 1) - 1]);
}

int Run(const LoadOptions& options) {
  if (options.fill && !Fill(options)) return 1;
  ClosedLoopOptions loop;
  loop.target = options.target;
  loop.method = kMethods.at(options.op);
  loop.in_flight = options.in_flight;
  loop.connections = std::min(options.connections, options.in_flight);
  loop.duration = absl::Seconds(options.seconds);
  loop.value_size.reset();
  if (options.op != "batchset") loop.value_size = static_cast<size_t>(options.value_size);
  if (!options.source.empty()) loop.source = kSources.at(options.source);
  loop.entries = options.op == "get" ? 1 : static_cast<size_t>(options.batch);
  ClosedLoopResult result = RunClosedLoop(loop, Requests(options));
  std::sort(result.latencies_us.begin(), result.latencies_us.end());
  const double seconds = absl::ToDoubleSeconds(result.elapsed);
  nlohmann::ordered_json json = {
      {"op", options.op},
      {"ops_per_s", std::round(static_cast<double>(result.calls) / seconds)},
      {"keys_per_s", std::round(static_cast<double>(result.keys) / seconds)},
      {"keys_per_second", static_cast<double>(result.keys) / seconds},
      {"p50_us", Percentile(result.latencies_us, 0.50)},
      {"p95_us", Percentile(result.latencies_us, 0.95)},
      {"p99_us", Percentile(result.latencies_us, 0.99)},
      {"in_flight", options.in_flight},
      {"connections", loop.connections},
      {"value_size", options.value_size},
      {"batch", loop.entries},
      {"misses", result.misses},
      {"elsewhere", result.elsewhere},
      {"errors", result.errors}};
  if (result.errors > 0) json["first_error"] = result.first_error;
  std::printf("%s\n", json.dump().c_str());
  const bool right = result.errors == 0 && result.misses == 0 && result.elsewhere == 0;
  return right && result.calls > 0 ? 0 : 1;
}

int Main(int argc, char** argv) {
  LoadOptions options;
  CLI::App app(
      "Measures Get, BatchGet or BatchSet against one node, closed loop; prints JSON.\n"
      "Every answer is checked: a hit of the right size from the tier that is asked for, a write "
      "that was done. Exit code 1 when one was not.",
      "meridian-load");
  app.add_option("--target", options.target, "HOST:PORT of CacheService")->capture_default_str();
  app.add_option("--op", options.op, "get, batchget or batchset")
      ->check(CLI::IsMember({"get", "batchget", "batchset"}))
      ->capture_default_str();
  app.add_option("--source", options.source,
                 "tier that is to answer every read: l1 or l2; none: any")
      ->check(CLI::IsMember({"l1", "l2"}));
  app.add_option("--namespace", options.name_space, "data type")->capture_default_str();
  app.add_option("--keys", options.keys, "distinct keys")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--value-size", options.value_size, "bytes of a value")
      ->check(CLI::Range(0, 8 << 20))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "keys of a batch")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--in-flight", options.in_flight, "calls in flight")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--connections", options.connections, "connections")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of measuring, after 0.5 s of warm-up")
      ->check(FiniteNumber(0.001, 3600))
      ->capture_default_str();
  app.add_flag("--fill,!--no-fill", options.fill, "store all keys first (default)");
  app.add_flag("--json", options.json, "print JSON (always)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return Run(options);
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) {
  try {
    return meridian::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
