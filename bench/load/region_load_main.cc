// meridian-region-load: a steady load of writes, deletes and reads in several regions at once,
// steered by lines on stdin. For scripts/bench regions.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "common/base/number_option.h"
#include "tests/support/paced_load.h"

namespace meridian {
namespace {

constexpr absl::Duration kReadyLimit = absl::Seconds(20);

struct RegionLoad {
  std::unique_ptr<Client> client;
  std::unique_ptr<PacedLoad> load;  // Ends before its client.
};
using Regions = std::map<std::string, RegionLoad>;

int Fail(const std::string& text) {
  std::fprintf(stderr, "meridian-region-load: %s\n", text.c_str());
  return 1;
}

nlohmann::ordered_json Counts(const Regions& regions, absl::Time began) {
  nlohmann::ordered_json json = {{"seconds", absl::ToDoubleSeconds(absl::Now() - began)}};
  for (const auto& [name, region] : regions) {
    json["regions"][name] = {
        {"writes", region.load->writes()},
        {"deletes", region.load->deletes()},
        {"reads", region.load->reads()},
        {"failed", region.load->failed()},
        {"degraded", region.load->degraded()},
        {"doubtful_keys", region.load->doubtful_keys()},
        {"generator_late_ms", absl::ToDoubleMilliseconds(region.load->longest_delay())},
        {"first_error", region.load->first_error()}};
  }
  return json;
}

// The first failures of each region.
nlohmann::ordered_json Failures(const Regions& regions, absl::Time began) {
  nlohmann::ordered_json json = nlohmann::json::array();
  for (const auto& [name, region] : regions) {
    for (const PacedFailure& failure : region.load->failures()) {
      json.push_back({{"region", name},
                      {"call", failure.write ? "write" : "read"},
                      {"key", failure.key},
                      {"reason", failure.reason},
                      {"message", failure.message},
                      {"seconds", absl::ToDoubleSeconds(failure.at - began)},
                      {"took_ms", absl::ToDoubleMilliseconds(failure.took)},
                      {"generator_late_ms", absl::ToDoubleMilliseconds(failure.generator_late)}});
    }
  }
  return json;
}

// What is read of every region's keys in every region, where it is not what was written last.
nlohmann::ordered_json Differences(const Regions& regions) {
  nlohmann::ordered_json json = nlohmann::json::array();
  for (const auto& [writer, written] : regions) {
    for (const auto& [reader, reading] : regions) {
      for (const std::string& difference : written.load->Differences(*reading.client)) {
        json.push_back(reader + ": " + difference);
      }
    }
  }
  return json;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Writes, deletes and reads at a steady rate in several regions, until told to stop.\n"
      "Lines on stdin, each answered by a line of JSON: `counts`; `failures`: the first calls "
      "that\n"
      "failed in each region; `stop`, which waits for all answers and counts; `check`, after "
      "stop:\n"
      "the entries that are read in any region and are not what was written last, without keys of\n"
      "which a write failed. The end of stdin ends the program.",
      "meridian-region-load");
  std::vector<std::string> targets;
  PacedLoadOptions options;
  app.add_option("--target", targets, "REGION=HOST:PORT[,HOST:PORT...] (repeatable)")->required();
  app.add_option("--writes", options.writes_per_second, "a second in each region, deletes included")
      ->check(FiniteNumber(0, 1e6))
      ->capture_default_str();
  app.add_option("--deletes", options.deletes, "their share")
      ->check(FiniteNumber(0, 1))
      ->capture_default_str();
  app.add_option("--reads", options.reads_per_second, "a second in each region")
      ->check(FiniteNumber(0, 1e6))
      ->capture_default_str();
  double timeout_ms = absl::ToDoubleMilliseconds(options.timeout);
  app.add_option("--timeout-ms", timeout_ms, "of each call")
      ->check(FiniteNumber(1, 3.6e6))
      ->capture_default_str();
  app.add_option("--keys", options.keys, "of each region")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--value-size", options.value_bytes, "bytes of a value")->capture_default_str();
  app.add_option("--namespace", options.name_space, "data type")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  options.timeout = absl::Milliseconds(timeout_ms);
  Regions regions;
  for (const std::string& target : targets) {
    const std::vector<std::string> halves = absl::StrSplit(target, absl::MaxSplits('=', 1));
    if (halves.size() != 2) return Fail(target + " is not REGION=HOST:PORT");
    auto client = Client::Create({.targets = absl::StrSplit(halves[1], ',')});
    if (!client.ok()) return Fail(std::string(client.status().message()));
    const absl::Status ready = (*client)->WaitUntilReady(kReadyLimit);
    if (!ready.ok()) return Fail(target + ": " + std::string(ready.message()));
    regions[halves[0]].client = *std::move(client);
  }
  const absl::Time began = absl::Now();
  for (auto& [name, region] : regions) {
    options.name = name;
    ++options.seed;
    region.load = std::make_unique<PacedLoad>(*region.client, options);
  }
  bool stopped = false;
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::ordered_json answer;
    if (line == "counts") {
      answer = Counts(regions, began);
    } else if (line == "stop") {
      for (auto& [name, region] : regions) region.load->Stop();
      stopped = true;
      answer = Counts(regions, began);
    } else if (line == "failures") {
      answer = Failures(regions, began);
    } else if (line == "check" && stopped) {
      answer = Differences(regions);
    } else {
      answer = {{"error", "known are counts, failures, stop and, after stop, check"}};
    }
    std::printf("%s\n", answer.dump().c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) { return meridian::Main(argc, argv); }
