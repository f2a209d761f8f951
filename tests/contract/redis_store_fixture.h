// RedisStoreTest is a RedisStore on a redis-server of the test's own, and its calls without
// callbacks.

#ifndef MERIDIAN_TESTS_CONTRACT_REDIS_STORE_FIXTURE_H_
#define MERIDIAN_TESTS_CONTRACT_REDIS_STORE_FIXTURE_H_

#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/hash.h"
#include "gtest/gtest.h"
#include "server/l2/redis_store.h"
#include "server/node/record.h"
#include "tests/support/redis_process.h"

namespace meridian {

inline L2Key Key(const std::string& key) { return {SlotOf("task", key), "task", key}; }

inline L2Write Put(const std::string& key, int version, std::string_view value) {
  L2Write write;
  write.key = Key(key);
  write.version = Version{(uint64_t{1'700'000'000'000} + static_cast<uint64_t>(version)) << 16, 7};
  write.expires_at = absl::Now() + absl::Hours(1);
  write.retention = absl::Hours(1);
  Record record;
  record.version = write.version;
  record.expires_at = write.expires_at;
  record.value = value;
  AppendRecord(record, &write.record);
  return write;
}

// Counts, and lets a test wait for a change without polling.
class RecordingObserver final : public L2Observer {
 public:
  void CommandDone(std::string_view command, absl::Duration, absl::StatusCode code) override {
    absl::MutexLock lock(&mu_);
    commands_.insert(absl::StrCat(std::string(command), ":", static_cast<int>(code)));
  }
  void ConnectionUp() override {
    absl::MutexLock lock(&mu_);
    ++ups_;
  }
  void ConnectionDown(std::string_view cause, std::string_view, bool) override {
    absl::MutexLock lock(&mu_);
    ++downs_;
    causes_.insert(std::string(cause));
  }
  void Redirected(std::string_view kind) override {
    absl::MutexLock lock(&mu_);
    redirects_.insert(std::string(kind));
  }
  size_t redirects(const std::string& kind) {
    absl::MutexLock lock(&mu_);
    return redirects_.count(kind);
  }
  void ReadFromReplica() override { ++replica_reads_; }
  int replica_reads() const { return replica_reads_; }
  void PrimaryChanged(std::string_view, std::string_view) override {
    absl::MutexLock lock(&mu_);
    ++primary_changes_;
  }
  void SentinelChanged(std::string_view sentinel, std::string_view problem) override {
    absl::MutexLock lock(&mu_);
    sentinels_.push_back(absl::StrCat(std::string(sentinel), ": ", std::string(problem)));
  }
  void BreakerChanged(std::string_view state) override {
    absl::MutexLock lock(&mu_);
    breaker_ = state;
  }

  size_t CountOf(const std::string& command, absl::StatusCode code) {
    absl::MutexLock lock(&mu_);
    return commands_.count(absl::StrCat(command, ":", static_cast<int>(code)));
  }
  int ups() {
    absl::MutexLock lock(&mu_);
    return ups_;
  }
  bool WaitForUps(int ups) {
    absl::MutexLock lock(&mu_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return ups_ >= ups; };
    return mu_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(60));
  }
  int downs() {
    absl::MutexLock lock(&mu_);
    return downs_;
  }
  bool WaitForDowns(int downs) {
    absl::MutexLock lock(&mu_);
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return downs_ >= downs; };
    return mu_.AwaitWithTimeout(absl::Condition(&reached), absl::Seconds(60));
  }
  int primary_changes() {
    absl::MutexLock lock(&mu_);
    return primary_changes_;
  }
  // "<address>: <problem>" for every change of a sentinel's state.
  std::vector<std::string> sentinels() {
    absl::MutexLock lock(&mu_);
    return sentinels_;
  }
  // The causes of all downs so far.
  std::set<std::string> causes() {
    absl::MutexLock lock(&mu_);
    return causes_;
  }
  std::string breaker() {
    absl::MutexLock lock(&mu_);
    return breaker_;
  }

 private:
  std::atomic<int> replica_reads_{0};
  absl::Mutex mu_;
  std::multiset<std::string> commands_ ABSL_GUARDED_BY(mu_);
  int primary_changes_ ABSL_GUARDED_BY(mu_) = 0;
  std::multiset<std::string> redirects_ ABSL_GUARDED_BY(mu_);
  std::set<std::string> causes_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> sentinels_ ABSL_GUARDED_BY(mu_);
  int ups_ ABSL_GUARDED_BY(mu_) = 0;
  int downs_ ABSL_GUARDED_BY(mu_) = 0;
  std::string breaker_ ABSL_GUARDED_BY(mu_) = "closed";
};

class RedisStoreTest : public ::testing::Test {
 protected:
  void StartRedis(std::vector<std::string> arguments = {}) {
    auto redis = RedisProcess::Start(std::move(arguments));
    ASSERT_TRUE(redis.ok()) << redis.status();
    redis_ = *std::move(redis);
  }
  // Connects and waits until both eager connections are ready.
  void OpenStore(RedisStoreOptions options = {}, std::string url = "") {
    store_.reset();
    options.client.url = *ParseRedisUrl(url.empty() ? redis_->url() : url);
    // Timeouts for slow builds; a test that is about a timeout sets its own.
    if (options.client.connection.command_timeout == absl::Seconds(1)) {
      options.client.connection.connect_timeout = absl::Seconds(10);
      options.client.connection.command_timeout = absl::Seconds(10);
    }
    auto loop = EventLoop::Create("l2-test");
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    auto store = RedisStore::Create(*loop_, options, clock_, &observer_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  std::vector<L2WriteResult> Apply(std::vector<L2Write> writes,
                                   absl::Duration timeout = absl::Seconds(10)) {
    absl::Notification done;
    std::vector<L2WriteResult> results;
    store_->Apply(std::move(writes), clock_.Now() + timeout, [&](std::vector<L2WriteResult> r) {
      results = std::move(r);
      done.Notify();
    });
    done.WaitForNotification();
    return results;
  }
  absl::Status ApplyStatus(L2Write write, absl::Duration timeout = absl::Seconds(10)) {
    std::vector<L2Write> writes;
    writes.push_back(std::move(write));
    return Apply(std::move(writes), timeout)[0].status;
  }
  std::vector<L2Record> Fetch(std::vector<L2Key> keys, absl::Duration timeout = absl::Seconds(10)) {
    absl::Notification done;
    std::vector<L2Record> records;
    store_->Fetch(std::move(keys), clock_.Now() + timeout, [&](std::vector<L2Record> r) {
      records = std::move(r);
      done.Notify();
    });
    done.WaitForNotification();
    return records;
  }
  std::vector<L2Record> FetchFromPrimary(std::vector<L2Key> keys, absl::Duration timeout) {
    absl::Notification done;
    std::vector<L2Record> records;
    store_->FetchFromPrimary(std::move(keys), clock_.Now() + timeout, [&](std::vector<L2Record> r) {
      records = std::move(r);
      done.Notify();
    });
    done.WaitForNotification();
    return records;
  }
  std::vector<L2WriteResult> Replicate(uint32_t slot, LogPosition cursor,
                                       std::vector<L2Write> writes) {
    absl::Notification done;
    std::vector<L2WriteResult> results;
    store_->ApplyReplicated("eu", slot, cursor, std::move(writes), clock_.Now() + absl::Seconds(10),
                            [&](std::vector<L2WriteResult> r) {
                              results = std::move(r);
                              done.Notify();
                            });
    done.WaitForNotification();
    return results;
  }
  LogPosition Cursor(uint32_t slot) {
    absl::Notification done;
    LogPosition cursor;
    store_->FetchCursors("eu", {slot}, clock_.Now() + absl::Seconds(10),
                         [&](const absl::StatusOr<std::vector<LogPosition>>& positions) {
                           if (positions.ok()) cursor = positions->front();
                           done.Notify();
                         });
    done.WaitForNotification();
    return cursor;
  }

  absl::StatusOr<L2Usage> Usage() {
    absl::Notification done;
    absl::StatusOr<L2Usage> answer = absl::UnknownError("");
    store_->FetchUsage(clock_.Now() + absl::Seconds(10), [&](absl::StatusOr<L2Usage> usage) {
      answer = std::move(usage);
      done.Notify();
    });
    done.WaitForNotification();
    return answer;
  }

  SystemClock clock_;
  RecordingObserver observer_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<RedisStore> store_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_CONTRACT_REDIS_STORE_FIXTURE_H_
