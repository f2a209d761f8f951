// PacedLoad writes, deletes and reads keys of its own at a steady rate, whatever the answers take,
// and knows what must be stored in the end.
//
// Keys are <name>:0 ... <name>:<keys - 1>; nobody else may write them. Each operation takes a
// random one. Of several writes of a key the one with the highest version counts, as everywhere.
// When more calls are under way than a client may have, the rate falls behind: `writes()` over time
// is what was really written. A failure knows how long its call had to wait for nothing but a
// processor, as far as the load's own thread can tell: on a machine that is too busy for the load,
// calls fail that no cache could have answered.
// Thread safety: all methods may be called concurrently, except Stop and the destructor.

#ifndef MERIDIAN_TESTS_SUPPORT_PACED_LOAD_H_
#define MERIDIAN_TESTS_SUPPORT_PACED_LOAD_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"

namespace meridian {

struct PacedLoadOptions {
  std::string name = "paced";
  std::string name_space = "task";
  double writes_per_second = 500;  // Deletes included.
  double reads_per_second = 0;
  double deletes = 0.2;  // Of the writes.
  int keys = 5000;
  size_t value_bytes = 100;
  absl::Duration ttl = absl::Hours(2);
  absl::Duration timeout = absl::Seconds(5);  // Of each call.
  uint64_t seed = 1;
};

// A call that failed.
struct PacedFailure {
  bool write = false;  // Or a delete.
  std::string key = {};
  std::string reason = {};
  std::string message = {};
  absl::Time at = absl::InfinitePast();                  // Of its end.
  absl::Duration took = absl::ZeroDuration();            // From its start.
  absl::Duration generator_late = absl::ZeroDuration();  // Of `took`, the load's thread overslept.
};

class PacedLoad {
 public:
  // Runs from here on. `client` outlives it.
  PacedLoad(Client& client, PacedLoadOptions options);
  ~PacedLoad();

  // Returns when every call has been answered.
  void Stop();

  uint64_t writes() const { return writes_; }  // Acknowledged, deletes included.
  uint64_t deletes() const { return deletes_; }
  uint64_t reads() const { return reads_; }
  uint64_t failed() const { return failed_; }
  std::string first_error() const ABSL_LOCKS_EXCLUDED(mu_);
  // The first 1000.
  std::vector<PacedFailure> failures() const ABSL_LOCKS_EXCLUDED(mu_);
  // Writes that only L1 had when they were acknowledged; not among writes().
  uint64_t degraded() const { return degraded_; }
  // The longest that the load's thread woke too late: what the machine withheld from it at least.
  absl::Duration longest_delay() const;
  // Keys with a write that failed or was degraded: it may have happened, at any time.
  size_t doubtful_keys() const ABSL_LOCKS_EXCLUDED(mu_);

  // Compares what a client reads of every key that is not doubtful with what was written; each
  // difference in words, at most 20. REQUIRES: Stop was called.
  std::vector<std::string> Differences(Client& client) const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Last {
    Version version = {};  // 0: never written.
    bool deleted = false;
    bool doubtful = false;
  };
  // What is known of a call before it is answered.
  struct Call {
    int key = 0;
    bool write = false;
    absl::Time began = absl::InfinitePast();
    int64_t late_before_us = 0;  // late_us_ when it began.
  };

  void Run();
  void WriteOne(uint64_t random);
  void ReadOne(uint64_t random);
  std::string KeyOf(int i) const;
  Call Begin(uint64_t random, bool write) ABSL_LOCKS_EXCLUDED(mu_);
  void Rest();
  void Written(const Call& call, bool deleted, const WriteResult& result) ABSL_LOCKS_EXCLUDED(mu_);
  void Answered(const Call& call, const std::shared_ptr<const ResultError>& error)
      ABSL_LOCKS_EXCLUDED(mu_);

  Client& client_;
  const PacedLoadOptions options_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> writes_{0};
  std::atomic<uint64_t> deletes_{0};
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> degraded_{0};
  std::atomic<uint64_t> failed_{0};
  std::atomic<int64_t> late_us_{0};     // What the thread overslept so far, in long pieces.
  std::atomic<int64_t> longest_us_{0};  // The longest of these.
  mutable absl::Mutex mu_;
  int under_way_ ABSL_GUARDED_BY(mu_) = 0;
  std::vector<Last> last_ ABSL_GUARDED_BY(mu_);
  std::vector<PacedFailure> failures_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_PACED_LOAD_H_
