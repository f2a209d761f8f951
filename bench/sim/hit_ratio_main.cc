// meridian-hit-ratio: miss ratios of the engine's policies over traces, as CSV on stdout.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "bench/sim/simulation.h"
#include "bench/sim/trace.h"
#include "common/base/number_option.h"
#include "common/engine/eviction_policy.h"

namespace meridian::sim {
namespace {

struct Options {
  std::vector<std::string> files;
  std::vector<std::string> sizes = {"0.001", "0.01", "0.05", "0.1", "0.2"};
  std::vector<std::string> policies = EvictionPolicyNames();
  int threads = 2;
  bool lazy_expiry = false;
  std::string by = "count";
  std::string columns = "default";
};

// One line of the answer. `size` is printed as it was asked for.
struct Cell {
  std::string size;
  SimulationOptions simulation;
  absl::StatusOr<SimulationResult> result = SimulationResult();
};

void Run(const Trace& trace, int threads, std::vector<Cell>* cells) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < cells->size(); i = next++) {
      try {
        (*cells)[i].result = Simulate(trace, (*cells)[i].simulation);
      } catch (const std::exception& error) {  // Out of a thread it would end the program.
        (*cells)[i].result = absl::InternalError(error.what());
      }
    }
  };
  std::vector<std::thread> helpers;
  for (int i = 1; i < threads; ++i) helpers.emplace_back(work);
  work();
  for (std::thread& helper : helpers) helper.join();
}

// The different ones, in the order in which they were given.
std::vector<std::string> Different(const std::vector<std::string>& words) {
  std::vector<std::string> different;
  for (const std::string& word : words) {
    if (std::find(different.begin(), different.end(), word) == different.end()) {
      different.push_back(word);
    }
  }
  return different;
}

// `header`: the lines follow it.
absl::Status RunTrace(const Options& options, const std::string& file, bool header) {
  absl::StatusOr<Trace> trace = ReadTrace(file);
  if (!trace.ok()) return trace.status();
  std::fprintf(stderr, "  %s: %zu requests, %zu keys\n", trace->name.c_str(),
               trace->requests.size(), trace->unique_keys);
  std::vector<Cell> cells;
  for (const std::string& size : Different(options.sizes)) {
    const double fraction = std::stod(size);
    for (const std::string& policy : Different(options.policies)) {
      Cell cell = {.size = size,
                   .simulation = {.policy = policy, .lazy_expiry = options.lazy_expiry}};
      if (options.by == "bytes") {
        cell.simulation.capacity_bytes = BytesOf(*trace, fraction);
      } else {
        cell.simulation.capacity_entries = EntriesOf(*trace, fraction);
      }
      cells.push_back(std::move(cell));
    }
  }
  Run(*trace, options.threads, &cells);
  for (const Cell& cell : cells) {
    if (!cell.result.ok()) return cell.result.status();
  }
  // Only now: what failed is not to look like a table.
  if (header) {
    absl::PrintF("trace,size_fraction,policy,requests,miss_ratio%s\n",
                 options.columns == "all" ? ",capacity,byte_miss_ratio" : "");
  }
  for (const Cell& cell : cells) {
    absl::PrintF("%s,%s,%s,%d,%.6f", trace->name, cell.size, cell.simulation.policy,
                 cell.result->requests, cell.result->miss_ratio());
    if (options.columns == "all") {
      absl::PrintF(",%d,%.6f", cell.simulation.capacity_entries + cell.simulation.capacity_bytes,
                   cell.result->byte_miss_ratio());
    }
    absl::PrintF("\n");
  }
  std::fflush(stdout);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Miss ratios of the engine's policies over traces, as CSV on stdout.");
  app.add_option("traces", options.files, "TRACE.csv.gz: time_s,key,value_size,ttl_s,op")
      ->required();
  app.add_option("--sizes", options.sizes, "shares of the trace's keys")
      ->delimiter(',')
      ->check(FiniteNumber(1e-9, 1.0));
  app.add_option("--policy", options.policies, "default: all")
      ->delimiter(',')
      ->check(CLI::IsMember(EvictionPolicyNames()));
  app.add_option("--by", options.by, "what the sizes are shares of: keys or bytes")
      ->check(CLI::IsMember({"count", "bytes"}));
  app.add_option("--threads", options.threads, "default 2")->check(WholeNumber(1, 64));
  app.add_flag("--lazy-expiry", options.lazy_expiry,
               "expired entries keep their room until asked for, as in published figures");
  app.add_option("--columns", options.columns, "all: capacity and byte_miss_ratio too")
      ->check(CLI::IsMember({"default", "all"}));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (size_t i = 0; i < options.files.size(); ++i) {
    const absl::Status status = RunTrace(options, options.files[i], /*header=*/i == 0);
    if (!status.ok()) {
      std::fprintf(stderr, "error: %s\n", std::string(status.message()).c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace meridian::sim

int main(int argc, char** argv) {
  try {
    return meridian::sim::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
}
