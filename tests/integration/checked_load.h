// CheckedLoad writes and reads known values from many threads and judges every answer.
//
// Each key has one writer, so that the order of its writes is known; every thread reads all keys. An
// answer is wrong when it holds what was never written to that key, when a version comes with another
// value than it was acknowledged with, or when it is older than a write (or delete) that was
// acknowledged more than `stale_bound` before the read began. A write that failed may or may not have
// happened, at any time.
// Thread safety: all methods may be called concurrently, except Stop and the destructor.

#ifndef MERIDIAN_TESTS_INTEGRATION_CHECKED_LOAD_H_
#define MERIDIAN_TESTS_INTEGRATION_CHECKED_LOAD_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace meridian {

struct CheckedLoadOptions {
  std::string name = "load";  // Of the keys.
  int threads = 4;
  int keys = 120;
  absl::Duration stale_bound = absl::ZeroDuration();
  absl::Duration pause = absl::Milliseconds(1);  // Of each thread between two calls: other tests run too.
};

class CheckedLoad {
 public:
  // Runs from here on. `client` outlives it.
  CheckedLoad(Client& client, CheckedLoadOptions options);
  ~CheckedLoad();

  void Stop();

  uint64_t answers() const { return answers_; }  // Reads and writes that did not fail.
  uint64_t errors() const { return errors_; }
  uint64_t l1_hits() const { return l1_hits_; }
  // Waits until `count` more calls have been answered well; false when that takes longer than `limit`.
  bool Progress(uint64_t count, absl::Duration limit = absl::Seconds(30)) const;

  std::map<std::string, uint64_t> error_reasons() const;
  std::string error_text() const;  // The reasons and their counts, for people.
  // Every wrong answer, in words. Empty is what a test wants.
  std::vector<std::string> wrong() const;
  // The longest time that a read was behind an acknowledged write.
  absl::Duration max_staleness() const;

  // Reads every key once more, each until there is no error: all must be right, with no bound.
  void CheckAllAtRest();

 private:
  struct Write {
    bool deleted = false;
    bool failed = false;
    Version version = {};  // Not set until it is acknowledged.
    absl::Time acknowledged = absl::InfiniteFuture();
  };
  struct Key {
    std::string name;
    absl::Mutex mu;
    std::vector<Write> writes ABSL_GUARDED_BY(mu);  // By sequence number, which the value holds.
  };

  void Run(int thread);
  void WriteOne(Key& key, uint32_t random);
  // False when the read failed.
  bool ReadOne(Key& key, absl::Duration bound);
  // Empty when the answer is right.
  std::string Judge(Key& key, const GetResult& read, absl::Time began, absl::Duration bound);
  std::string JudgeHit(const Key& key, const GetResult& read, absl::Time began,
                       absl::Duration bound) ABSL_EXCLUSIVE_LOCKS_REQUIRED(key.mu);
  static std::string JudgeMiss(const Key& key, const Write& required, absl::Time began,
                               absl::Duration bound) ABSL_EXCLUSIVE_LOCKS_REQUIRED(key.mu);
  void Count(const std::shared_ptr<const ResultError>& error);

  Client& client_;
  const CheckedLoadOptions options_;
  std::vector<std::unique_ptr<Key>> keys_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> answers_{0};
  std::atomic<uint64_t> errors_{0};
  std::atomic<uint64_t> l1_hits_{0};
  mutable absl::Mutex mu_;
  std::map<std::string, uint64_t> reasons_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> wrong_ ABSL_GUARDED_BY(mu_);
  absl::Duration max_staleness_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_INTEGRATION_CHECKED_LOAD_H_
