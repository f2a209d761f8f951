// The load test: 80/20 reads and some writes from many threads for a while, by ReplayRunner, which
// judges every answer.

#ifndef MERIDIAN_CLIENT_CLI_PERF_LOAD_H_
#define MERIDIAN_CLIENT_CLI_PERF_LOAD_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/perf_values.h"
#include "client/cli/replay_random.h"
#include "client/cli/replay_runner.h"
#include "client/cli/replay_source.h"
#include "client/cli/replay_stats.h"

namespace meridian::cli {

struct LoadOptions {
  absl::Duration duration = absl::Seconds(5);
  uint64_t max_requests = 10'000'000;  // So that the times that are kept have a bound.
  int concurrency = 8;
  uint64_t batch = 10;
  uint64_t keys = 1000;
  uint64_t set_percent = 5;
  uint64_t seed = 1;
};

// The requests of the load test. Promise: equal seeds give equal streams.
class LoadSource final : public RequestSource {
 public:
  LoadSource(const LoadOptions& options, const PerfValues& values, std::string name_space);

  bool Next(ReplayRequest* request) override;
  absl::Status status() const override { return absl::OkStatus(); }
  const std::vector<std::string>& namespaces() const override { return namespaces_; }
  std::string KeyText(uint64_t key) const override { return values_.Key("load", key); }

 private:
  const LoadOptions options_;
  const PerfValues values_;
  const std::vector<std::string> namespaces_;
  ReplayRandom random_;
  uint64_t left_;
};

// A part of a second of the load test.
struct LoadPoint {
  double seconds = 0;  // Since the start, at its end.
  double requests_per_second = 0;
  double hit_rate = 0;  // 0..1
};

struct LoadResult {
  bool ran = false;
  LoadOptions options;
  bool gave_up = false;  // Too many calls failed one after the other.
  absl::Duration elapsed;
  ReplayStats stats;
  std::vector<LoadPoint> points;
  std::vector<uint64_t> written = {};  // Keys that it may have stored.

  RegionStats All() const;
  double RequestsPerSecond() const;
  double Rate() const;  // 0..1
};

// Ends early once `stop` is not 0. `done_ms` is told how far it is.
LoadResult RunLoad(std::vector<ReplayRegion>& target, const LoadOptions& options,
                   const PerfValues& values, const std::string& name_space, absl::Duration timeout,
                   const std::atomic<int>& stop, std::atomic<uint64_t>& done_ms);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_LOAD_H_
