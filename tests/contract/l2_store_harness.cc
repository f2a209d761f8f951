#include "tests/contract/l2_store_harness.h"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "server/l2/apply_batch.h"
#include "server/l2/cluster_slots.h"
#include "server/l2/redis_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"
#include "tests/support/redis_cluster.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"

namespace meridian {
namespace {

class FakeHarness final : public L2StoreHarness {
 public:
  absl::Time Now() const override { return clock_.Now(); }
  void LetPass(absl::Duration duration) override { clock_.Advance(duration); }
  void PlantForeign(const L2Key& key, const std::string& bytes) override {
    store_.Plant(key, bytes, absl::Hours(1));
  }
  void EmptyLog(uint32_t slot) override { store_.TrimLog(slot, 0); }
  void LoseLog(uint32_t slot) override { store_.LoseLog(slot); }

 protected:
  L2Store& store() override { return store_; }
  void Pump() override { executor_.RunDue(); }

 private:
  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeL2Store store_{clock_, executor_};
};

template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
  std::abort();
}

// One redis-server for all tests of a process.
RedisProcess& SharedRedis() {
  static const std::unique_ptr<RedisProcess> redis = OrDie(RedisProcess::Start());
  return *redis;
}

RedisCluster& SharedCluster() {
  static const TempDir dir;
  static const std::unique_ptr<RedisCluster> cluster = OrDie(RedisCluster::Start(dir.path(), 3));
  return *cluster;
}

// A store on real servers.
class RedisHarness : public L2StoreHarness {
 public:
  explicit RedisHarness(const std::string& url) : loop_(OrDie(EventLoop::Create("l2-test"))) {
    RedisStoreOptions options;
    options.client.url = OrDie(ParseRedisUrl(url));
    // Builds with sanitizers on a busy machine are slow; no test here waits for a timeout.
    options.client.connection.connect_timeout = absl::Seconds(20);
    options.client.connection.command_timeout = absl::Seconds(20);
    store_ = OrDie(RedisStore::Create(*loop_, options, clock_, nullptr));
  }

  absl::Time Now() const override { return clock_.Now(); }
  void LetPass(absl::Duration duration) override { absl::SleepFor(duration); }

 protected:
  L2Store& store() override { return *store_; }

 private:
  SystemClock clock_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<RedisStore> store_;
};

class StandaloneHarness final : public RedisHarness {
 public:
  StandaloneHarness() : RedisHarness(SharedRedis().url()) {
    OrDie(SharedRedis().Command({"FLUSHALL"}));
  }
  void PlantForeign(const L2Key& key, const std::string& bytes) override {
    OrDie(SharedRedis().Command({"SET", EntryRedisKey(key), bytes}));
  }
  void EmptyLog(uint32_t slot) override {
    OrDie(SharedRedis().Command({"XTRIM", LogRedisKey(slot), "MAXLEN", "0"}));
  }
  void LoseLog(uint32_t slot) override {
    OrDie(SharedRedis().Command({"DEL", LogRedisKey(slot)}));
  }
};

class ClusterHarness final : public RedisHarness {
 public:
  ClusterHarness() : RedisHarness(SharedCluster().url()) {
    if (!SharedCluster().FlushAll().ok()) std::abort();
  }
  void PlantForeign(const L2Key& key, const std::string& bytes) override {
    OrDie(OwnerOf(key.slot).Command({"SET", EntryRedisKey(key), bytes}));
  }
  void EmptyLog(uint32_t slot) override {
    OrDie(OwnerOf(slot).Command({"XTRIM", LogRedisKey(slot), "MAXLEN", "0"}));
  }
  void LoseLog(uint32_t slot) override { OrDie(OwnerOf(slot).Command({"DEL", LogRedisKey(slot)})); }

 private:
  static RedisProcess& OwnerOf(uint32_t slot) {
    return SharedCluster().server(SharedCluster().OwnerOf(RedisHashSlotOf(slot)));
  }
};

}  // namespace

std::unique_ptr<L2StoreHarness> L2StoreHarness::Create(L2Backend backend) {
  if (backend == L2Backend::kFake) return std::make_unique<FakeHarness>();
  if (backend == L2Backend::kCluster) return std::make_unique<ClusterHarness>();
  return std::make_unique<StandaloneHarness>();
}

template <typename Answer, typename Begin>
Answer L2StoreHarness::Wait(Begin begin) {
  absl::Notification done;
  std::optional<Answer> answer;
  begin([&](Answer result) {
    answer.emplace(std::move(result));
    done.Notify();
  });
  Pump();
  done.WaitForNotification();
  return *std::move(answer);
}

std::vector<L2Record> L2StoreHarness::Fetch(std::vector<L2Key> keys, absl::Time deadline) {
  return Wait<std::vector<L2Record>>(
      [&](auto done) { store().Fetch(std::move(keys), deadline, done); });
}

std::vector<L2WriteResult> L2StoreHarness::Apply(std::vector<L2Write> writes, absl::Time deadline) {
  return Wait<std::vector<L2WriteResult>>(
      [&](auto done) { store().Apply(std::move(writes), deadline, done); });
}

absl::StatusOr<std::vector<LogSlice>> L2StoreHarness::ReadLogs(std::vector<LogRead> reads,
                                                               size_t limit) {
  return Wait<absl::StatusOr<std::vector<LogSlice>>>(
      [&](auto done) { store().ReadLogs(std::move(reads), limit, Deadline(), done); });
}

absl::StatusOr<uint64_t> L2StoreHarness::ChangeCount() {
  return Wait<absl::StatusOr<uint64_t>>([&](auto done) { store().ChangeCount(Deadline(), done); });
}

absl::StatusOr<absl::Time> L2StoreHarness::ServerTime() {
  return Wait<absl::StatusOr<absl::Time>>([&](auto done) { store().ServerTime(Deadline(), done); });
}

absl::StatusOr<std::vector<LogPosition>> L2StoreHarness::LogEnds(std::vector<uint32_t> slots) {
  return Wait<absl::StatusOr<std::vector<LogPosition>>>(
      [&](auto done) { store().LogEnds(std::move(slots), Deadline(), done); });
}

absl::StatusOr<std::vector<LogPosition>> L2StoreHarness::FetchCursors(std::string source_region,
                                                                      std::vector<uint32_t> slots) {
  return Wait<absl::StatusOr<std::vector<LogPosition>>>([&](auto done) {
    store().FetchCursors(std::move(source_region), std::move(slots), Deadline(), done);
  });
}

absl::StatusOr<L2ScanPage> L2StoreHarness::Scan(std::string from, size_t count) {
  return Wait<absl::StatusOr<L2ScanPage>>(
      [&](auto done) { store().Scan(std::move(from), count, Deadline(), done); });
}

absl::StatusOr<std::vector<Version>> L2StoreHarness::FetchVersions(std::vector<L2Key> keys) {
  return Wait<absl::StatusOr<std::vector<Version>>>(
      [&](auto done) { store().FetchVersions(std::move(keys), Deadline(), done); });
}

absl::StatusOr<std::vector<LogEntry>> L2StoreHarness::ListFences(uint32_t slot) {
  return Wait<absl::StatusOr<std::vector<LogEntry>>>(
      [&](auto done) { store().ListFences(slot, Deadline(), done); });
}

absl::Status L2StoreHarness::ForgetFences(uint32_t slot, std::vector<LogEntry> fences) {
  return Wait<absl::Status>(
      [&](auto done) { store().ForgetFences(slot, std::move(fences), Deadline(), done); });
}

absl::StatusOr<std::vector<LogSize>> L2StoreHarness::MeasureLogs(std::vector<uint32_t> slots) {
  return Wait<absl::StatusOr<std::vector<LogSize>>>(
      [&](auto done) { store().MeasureLogs(std::move(slots), Deadline(), done); });
}

absl::Status L2StoreHarness::TrimLogs(std::vector<LogTrim> trims) {
  return Wait<absl::Status>(
      [&](auto done) { store().TrimLogs(std::move(trims), Deadline(), done); });
}

absl::StatusOr<std::vector<TombstoneUse>> L2StoreHarness::SweepTombstones(
    std::vector<L2Key> keys, absl::Duration evictable_after) {
  return Wait<absl::StatusOr<std::vector<TombstoneUse>>>([&](auto done) {
    store().SweepTombstones(std::move(keys), evictable_after, Deadline(), done);
  });
}

std::vector<L2WriteResult> L2StoreHarness::ApplyReplicated(std::string source_region, uint32_t slot,
                                                           LogPosition cursor,
                                                           std::vector<L2Write> writes) {
  return Wait<std::vector<L2WriteResult>>([&](auto done) {
    store().ApplyReplicated(std::move(source_region), slot, cursor, std::move(writes), Deadline(),
                            done);
  });
}

}  // namespace meridian
