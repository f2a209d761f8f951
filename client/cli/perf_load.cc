#include "client/cli/perf_load.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cli/replay_batches.h"
#include "client/cli/replay_ledger.h"
#include "common/base/clock.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kLookEvery = absl::Milliseconds(50);
constexpr absl::Duration kPointEvery = absl::Milliseconds(250);
constexpr double kToPopular = 0.8;

// Watches a run from a thread of its own: ends it in time, and takes down how it went.
class LoadWatch {
 public:
  LoadWatch(const ReplayRunner& runner, absl::Duration duration, const std::atomic<int>& stop,
            std::atomic<uint64_t>& done_ms)
      : runner_(runner), duration_(duration), stop_(stop), done_ms_(done_ms), thread_([this] {
          Watch();
        }) {}
  ~LoadWatch() { Join(); }

  // Not 0: the run is to end.
  const std::atomic<int>& over() const { return over_; }
  std::vector<LoadPoint> Finish() {
    Join();
    return std::move(points_);
  }

 private:
  void Join() {
    if (!thread_.joinable()) return;
    end_.Notify();
    thread_.join();
  }

  void Watch() {
    const absl::Duration start = clock_.Monotonic();
    absl::Duration next = kPointEvery;
    while (!end_.WaitForNotificationWithTimeout(kLookEvery)) {
      const absl::Duration elapsed = clock_.Monotonic() - start;
      done_ms_ = static_cast<uint64_t>(absl::ToInt64Milliseconds(std::min(elapsed, duration_)));
      if (elapsed >= next) {
        AddPoint(elapsed);
        next = elapsed + kPointEvery;
      }
      if (elapsed >= duration_ || stop_ != 0) over_ = 1;
    }
  }

  void AddPoint(absl::Duration elapsed) {
    const uint64_t requests = runner_.progress().requests;
    const uint64_t gets = runner_.progress().gets;
    const uint64_t hits = runner_.progress().hits;
    const double seconds = absl::ToDoubleSeconds(elapsed - last_);
    LoadPoint point;
    point.seconds = absl::ToDoubleSeconds(elapsed);
    point.requests_per_second = static_cast<double>(requests - requests_) / seconds;
    if (gets > gets_) {
      point.hit_rate = static_cast<double>(hits - hits_) / static_cast<double>(gets - gets_);
    }
    points_.push_back(point);
    last_ = elapsed;
    requests_ = requests;
    gets_ = gets;
    hits_ = hits;
  }

  const ReplayRunner& runner_;
  const absl::Duration duration_;
  const std::atomic<int>& stop_;
  std::atomic<uint64_t>& done_ms_;
  const SystemClock clock_;
  std::atomic<int> over_{0};
  // Of the thread, until it ends.
  std::vector<LoadPoint> points_;
  absl::Duration last_;
  uint64_t requests_ = 0;
  uint64_t gets_ = 0;
  uint64_t hits_ = 0;
  absl::Notification end_;
  std::thread thread_;  // Last: uses everything above.
};

}  // namespace

LoadSource::LoadSource(const LoadOptions& options, const PerfValues& values, std::string name_space)
    : options_(options),
      values_(values),
      namespaces_({std::move(name_space)}),
      random_(options.seed),
      left_(options.max_requests) {}

bool LoadSource::Next(ReplayRequest* request) {
  if (left_ == 0) return false;
  --left_;
  const uint64_t popular = std::max<uint64_t>(options_.keys / 5, 1);
  const bool to_popular = options_.keys <= popular || random_.Unit() < kToPopular;
  request->key =
      to_popular ? random_.Below(popular) : popular + random_.Below(options_.keys - popular);
  request->op = random_.Below(100) < options_.set_percent ? ReplayOp::kSet : ReplayOp::kGet;
  request->value_size = values_.bytes;
  request->ttl_s = static_cast<uint32_t>(absl::ToInt64Seconds(values_.ttl));
  request->name_space = 0;
  return true;
}

RegionStats LoadResult::All() const {
  RegionStats sum;
  for (const RegionStats& region : stats.regions) sum.Merge(region);
  return sum;
}

double LoadResult::RequestsPerSecond() const {
  const double seconds = absl::ToDoubleSeconds(elapsed);
  return seconds > 0 ? static_cast<double>(All().requests) / seconds : 0;
}

double LoadResult::Rate() const {
  const RegionStats all = All();
  const uint64_t answered = all.by_tier[0] + all.by_tier[1] + all.by_tier[2] + all.by_tier[3];
  return answered == 0
             ? 0
             : static_cast<double>(answered - all.by_tier[3]) / static_cast<double>(answered);
}

LoadResult RunLoad(std::vector<ReplayRegion>& target, const LoadOptions& options,
                   const PerfValues& values, const std::string& name_space, absl::Duration timeout,
                   const std::atomic<int>& stop, std::atomic<uint64_t>& done_ms) {
  LoadResult result;
  result.ran = true;
  result.options = options;
  LoadSource source(options, values, name_space);
  ReplayBatchOptions batch_options;
  batch_options.batch = options.batch;
  batch_options.seed = options.seed;
  ReplayBatches batches(source, batch_options);
  ReplayLedger ledger(target.size(), values.run);
  ReplayRunner runner(target, source, batches, ledger, timeout);
  const SystemClock clock;
  const absl::Duration start = clock.Monotonic();
  LoadWatch watch(runner, options.duration, stop, done_ms);
  result.stats = runner.Run(options.concurrency, watch.over());
  result.elapsed = clock.Monotonic() - start;
  result.points = watch.Finish();
  result.gave_up = runner.gave_up();
  for (const ReplayRequest& request : ledger.WrittenKeys()) result.written.push_back(request.key);
  return result;
}

}  // namespace meridian::cli
