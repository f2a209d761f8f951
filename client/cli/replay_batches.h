// ReplayBatches gathers the requests of a source into batches: one region and one namespace each.
//
// Promise: kSplit sends every request to one region, drawn from the seed; kEach sends all requests
//   to every region, in order. Nothing is lost at the end.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_BATCHES_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/replay_random.h"
#include "client/cli/replay_source.h"

namespace meridian::cli {

enum class ReplaySpread { kSplit, kEach };

struct ReplayBatch {
  size_t region = 0;
  uint8_t name_space = 0;
  std::vector<ReplayRequest> requests = {};
  size_t bytes = 0;  // Of all values, if all were read.
};

struct ReplayBatchOptions {
  size_t regions = 1;
  size_t batch = 100;
  size_t max_bytes = 4 << 20;
  uint64_t limit = UINT64_MAX;  // Requests of the source.
  uint64_t seed = 1;
  ReplaySpread spread = ReplaySpread::kSplit;
};

class ReplayBatches {
 public:
  // `source` outlives this.
  ReplayBatches(RequestSource& source, ReplayBatchOptions options);

  // False at the end.
  bool Take(ReplayBatch* batch) ABSL_LOCKS_EXCLUDED(mu_);
  // Of the source, after the end.
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Put(size_t region, const ReplayRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Close(ReplayBatch& batch) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const ReplayBatchOptions options_;
  mutable absl::Mutex mu_;
  RequestSource& source_ ABSL_GUARDED_BY(mu_);
  ReplayRandom random_ ABSL_GUARDED_BY(mu_);
  uint64_t left_ ABSL_GUARDED_BY(mu_);
  bool flushed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<ReplayBatch> open_ ABSL_GUARDED_BY(mu_);  // [region * namespaces + namespace].
  std::deque<ReplayBatch> ready_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_BATCHES_H_
