// meridian-look-aside-load: services that read at a steady rate by Zipf's law and fill what they
// miss, and what they got in every second. For scripts/bench warming.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "client/cli/replay_random.h"
#include "client/cpp/client.h"
#include "common/base/number_option.h"

namespace meridian {
namespace {

constexpr absl::Duration kReadyLimit = absl::Seconds(20);
constexpr size_t kMaxSeconds = 3600;
constexpr int kMaxInFlight = 2000;

struct LookAsideOptions {
  std::string name_space = "bench";
  double reads_per_second = 1000;
  int keys = 20'000;
  double skew = 0.9;
  size_t value_bytes = 200;
  double ttl_s = 120;
  double timeout_ms = 1000;
};

// What the reads of one second got.
struct Second {
  std::atomic<uint32_t> l1{0}, l2{0}, misses{0}, failed{0}, failed_fills{0};
};

class LookAsideLoad {
 public:
  LookAsideLoad(Client& client, const LookAsideOptions& options)
      : client_(client),
        options_(options),
        draw_(static_cast<size_t>(options.keys), options.skew),
        began_(absl::Now()),
        thread_([this] { Run(); }) {}
  ~LookAsideLoad() {
    stop_ = true;
    thread_.join();
    while (in_flight_ > 0) absl::SleepFor(absl::Milliseconds(1));
  }

  nlohmann::ordered_json Counts() {
    nlohmann::ordered_json rows = nlohmann::json::array();
    const size_t now = std::min(SecondNow(), kMaxSeconds);
    for (size_t i = 0; i < now; ++i) {
      const Second& second = (*seconds_)[i];
      rows.push_back({second.l1.load(), second.l2.load(), second.misses.load(),
                      second.failed.load(), second.failed_fills.load()});
    }
    absl::MutexLock lock(&mu_);
    return {{"columns", {"l1", "l2", "misses", "failed", "failed_fills"}},
            {"seconds", std::move(rows)},
            {"first_error", first_error_}};
  }

 private:
  size_t SecondNow() const {
    return static_cast<size_t>(absl::ToInt64Seconds(absl::Now() - began_));
  }
  Second& Row() { return (*seconds_)[std::min(SecondNow(), kMaxSeconds - 1)]; }

  void Run() {
    cli::ReplayRandom random(1);
    double due = 0;
    absl::Time last = absl::Now();
    while (!stop_) {
      absl::SleepFor(absl::Milliseconds(1));
      const absl::Time now = absl::Now();
      due += options_.reads_per_second * absl::ToDoubleSeconds(now - last);
      last = now;
      for (; due >= 1; due -= 1) {
        if (in_flight_ >= kMaxInFlight) break;
        Read(absl::StrCat("key:", draw_(random)));
      }
      due = std::min(due, options_.reads_per_second);  // No burst after a pause of this machine.
    }
  }

  void Read(std::string key) {
    ++in_flight_;
    GetOptions options;
    options.timeout = absl::Milliseconds(options_.timeout_ms);
    client_.Get(options_.name_space, key, options, [this, key](const GetResult& result) {
      Second& row = Row();
      if (result.error != nullptr) {
        ++row.failed;
        Note(*result.error);
      } else if (!result.hit()) {
        ++row.misses;
        return Fill(key);
      } else {
        ++(result.source == ResultSource::kL1 ? row.l1 : row.l2);
      }
      --in_flight_;
    });
  }

  void Fill(const std::string& key) {
    SetOptions options;
    options.timeout = absl::Milliseconds(options_.timeout_ms);
    // Not all at once, as if they had been filled long ago.
    thread_local absl::InsecureBitGen random;
    options.ttl = absl::Seconds(options_.ttl_s * absl::Uniform(random, 0.5, 1.5));
    client_.Set(options_.name_space, key, std::string(options_.value_bytes, 'v'), options,
                [this](const WriteResult& result) {
                  if (result.error != nullptr) {
                    ++Row().failed_fills;
                    Note(*result.error);
                  }
                  --in_flight_;
                });
  }

  void Note(const ResultError& error) {
    absl::MutexLock lock(&mu_);
    if (first_error_.empty()) first_error_ = absl::StrCat(error.reason, ": ", error.message);
  }

  Client& client_;
  const LookAsideOptions options_;
  const cli::ZipfDraw draw_;
  const absl::Time began_;
  const std::unique_ptr<std::array<Second, kMaxSeconds>> seconds_ =
      std::make_unique<std::array<Second, kMaxSeconds>>();
  std::atomic<int> in_flight_{0};
  std::atomic<bool> stop_{false};
  absl::Mutex mu_;
  std::string first_error_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

int Fail(const std::string& text) {
  std::fprintf(stderr, "meridian-look-aside-load: %s\n", text.c_str());
  return 1;
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Reads keys by Zipf's law at a steady rate, and writes those that are missing.\n"
      "Each line `counts` on stdin is answered by a line of JSON: what the reads that ended in "
      "each\nsecond got. The end of stdin ends the program.",
      "meridian-look-aside-load");
  std::string targets;
  LookAsideOptions options;
  app.add_option("--target", targets, "HOST:PORT[,HOST:PORT...]")->required();
  app.add_option("--reads", options.reads_per_second, "a second")
      ->check(FiniteNumber(1, 1e6))
      ->capture_default_str();
  app.add_option("--keys", options.keys, "that are read")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--skew", options.skew, "exponent of Zipf's law")
      ->check(FiniteNumber(0, 5))
      ->capture_default_str();
  app.add_option("--value-size", options.value_bytes, "bytes of a value")->capture_default_str();
  app.add_option("--ttl", options.ttl_s,
                 "seconds that a value lives, half to one and a half times that; 0: by the policy")
      ->check(FiniteNumber(0, 1e6))
      ->capture_default_str();
  app.add_option("--timeout-ms", options.timeout_ms, "of each call")
      ->check(FiniteNumber(1, 3.6e6))
      ->capture_default_str();
  app.add_option("--namespace", options.name_space, "data type")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  auto client = Client::Create({.targets = absl::StrSplit(targets, ',')});
  if (!client.ok()) return Fail(std::string(client.status().message()));
  if (const absl::Status ready = (*client)->WaitUntilReady(kReadyLimit); !ready.ok()) {
    return Fail(std::string(ready.message()));
  }
  LookAsideLoad load(**client, options);
  for (std::string line; std::getline(std::cin, line);) {
    const nlohmann::ordered_json answer =
        line == "counts" ? load.Counts() : nlohmann::ordered_json{{"error", "known is counts"}};
    std::cout << answer.dump() << std::endl;  // The reader waits for it.
  }
  return 0;
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) { return meridian::Main(argc, argv); }
