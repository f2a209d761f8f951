// meridian-apply-load: how many writes a second the apply script takes in, batches of a store
// beside nothing else: no gRPC, no node. For scripts/bench regions, which compares it with plain
// SETs.

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/number_option.h"
#include "server/l2/event_loop.h"
#include "server/l2/redis_store.h"
#include "server/node/record.h"
#include "server/policy/redis_url.h"

namespace meridian {
namespace {

struct LoadOptions {
  std::string redis = "redis://127.0.0.1:6379";
  int keys = 10'000;
  size_t value_size = 100;
  int batch = 100;
  int in_flight = 8;
  double seconds = 4;
};

// Keeps `in_flight` batches under way. Each answer makes the next batch, on the store's thread.
class ApplyLoad {
 public:
  ApplyLoad(const LoadOptions& options, L2Store& store, const Clock& clock)
      : options_(options), store_(store), clock_(clock), versions_(clock, RegionId("bench")) {}

  // Applied writes a second; `error` says why there is none.
  double Run(std::string* error) {
    const absl::Time began = clock_.Now();
    deadline_ = began + absl::Seconds(options_.seconds);
    {
      const absl::MutexLock lock(&mu_);
      under_way_ = options_.in_flight;
    }
    for (int i = 0; i < options_.in_flight; ++i) SendBatch();
    const absl::MutexLock lock(&mu_);
    const auto ended = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return under_way_ == 0; };
    mu_.Await(absl::Condition(&ended));
    *error = error_;
    return error_.empty()
               ? static_cast<double>(applied_) / absl::ToDoubleSeconds(clock_.Now() - began)
               : 0;
  }

 private:
  void SendBatch() {
    std::vector<L2Write> writes;
    {
      const absl::MutexLock lock(&mu_);
      for (int i = 0; i < options_.batch; ++i) writes.push_back(NextWrite());
    }
    store_.Apply(std::move(writes), clock_.Now() + absl::Seconds(10),
                 [this](const std::vector<L2WriteResult>& results) { Answered(results); });
  }

  L2Write NextWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    L2Write write;
    write.key.name_space = "bench";
    write.key.key = absl::StrFormat("key:%012d", random_() % options_.keys);
    write.key.slot = SlotOf(write.key.name_space, write.key.key);
    write.version = versions_.Next();
    write.expires_at = clock_.Now() + absl::Hours(1);
    write.retention = absl::Hours(1);
    Record record;
    record.version = write.version;
    record.expires_at = write.expires_at;
    record.raw_size = static_cast<uint32_t>(value_.size());
    record.value = value_;
    AppendRecord(record, &write.record);
    return write;
  }

  void Answered(const std::vector<L2WriteResult>& results) {
    bool more = false;
    {
      const absl::MutexLock lock(&mu_);
      for (const L2WriteResult& result : results) {
        if (!result.status.ok()) {
          error_ = result.status.ToString();
        } else if (result.outcome == L2WriteOutcome::kApplied) {
          ++applied_;  // A batch that overtook another one finds newer keys: stale.
        }
      }
      more = error_.empty() && clock_.Now() < deadline_;
      if (!more) --under_way_;
    }
    if (more) SendBatch();
  }

  const LoadOptions options_;
  L2Store& store_;
  const Clock& clock_;
  const std::string value_ = std::string(options_.value_size, 'v');
  absl::Time deadline_;
  absl::Mutex mu_;
  HybridClock versions_ ABSL_GUARDED_BY(mu_);
  std::mt19937 random_ ABSL_GUARDED_BY(mu_);
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t applied_ ABSL_GUARDED_BY(mu_) = 0;
  std::string error_ ABSL_GUARDED_BY(mu_);
};

int Fail(const std::string& text) {
  std::fprintf(stderr, "meridian-apply-load: %s\n", text.c_str());
  return 1;
}

int Main(int argc, char** argv) {
  LoadOptions options;
  CLI::App app("Applies batches of writes to a Redis as a node does, closed loop; prints JSON.",
               "meridian-apply-load");
  app.add_option("--redis", options.redis, "URL")->capture_default_str();
  app.add_option("--keys", options.keys, "distinct keys")
      ->check(CLI::Range(1, 100'000'000))
      ->capture_default_str();
  app.add_option("--value-size", options.value_size, "bytes of a value")->capture_default_str();
  app.add_option("--batch", options.batch, "writes of a batch")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--in-flight", options.in_flight, "concurrent batches")
      ->check(CLI::Range(1, 500))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "how long")
      ->check(FiniteNumber(0.001, 3600))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const SystemClock clock;
  auto url = ParseRedisUrl(options.redis);
  if (!url.ok()) return Fail(std::string(url.status().message()));
  auto loop = EventLoop::Create("bench");
  if (!loop.ok()) return Fail(loop.status().ToString());
  RedisStoreOptions store_options;
  store_options.client.url = *url;
  auto store = RedisStore::Create(**loop, store_options, clock, nullptr);
  if (!store.ok()) return Fail(store.status().ToString());
  std::string error;
  const double rate = ApplyLoad(options, **store, clock).Run(&error);
  if (rate == 0) return Fail(error);
  std::printf("%s\n",
              nlohmann::json{{"writes_per_second", rate}, {"batch", options.batch}}.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace meridian

int main(int argc, char** argv) { return meridian::Main(argc, argv); }
