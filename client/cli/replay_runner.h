// ReplayRunner sends the batches of a source to the regions, and judges every answer.
//
// A batch is read by one BatchGet, beside one single Get whose time counts for the tier that
// answered; what missed, and what the source sets, is written by one BatchSet; then the
// invalidations. `concurrency` threads do so at the same time.
// Thread safety: Run once; progress() from any thread.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_RUNNER_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/replay_batches.h"
#include "client/cli/replay_ledger.h"
#include "client/cli/replay_stats.h"
#include "client/cpp/client.h"

namespace meridian::cli {

struct ReplayRegion {
  std::string name;
  std::unique_ptr<Client> client;
};

class ReplayRunner {
 public:
  struct Progress {
    std::atomic<uint64_t> requests{0};
    std::atomic<uint64_t> gets{0};
    std::atomic<uint64_t> hits{0};
    std::atomic<uint64_t> errors{0};
    std::atomic<uint64_t> mismatches{0};
  };

  // All references outlive this.
  ReplayRunner(const std::vector<ReplayRegion>& regions, const RequestSource& source,
               ReplayBatches& batches, ReplayLedger& ledger, absl::Duration timeout);

  // Ends early, after the batches under way, once `stop` is not 0.
  ReplayStats Run(int concurrency, const std::atomic<int>& stop);
  const Progress& progress() const { return progress_; }
  // True when so many batches failed one after the other that the rest was not sent.
  bool gave_up() const { return failed_in_a_row_ >= kGiveUpAfter; }

 private:
  static constexpr int kGiveUpAfter = 50;

  // A batch on its way through Get, Set and Invalidate.
  struct Work;

  void RunBatch(const ReplayBatch& batch, ReplayStats* stats);
  void ReadOne(Work& work, size_t i);
  void ReadRest(Work& work, size_t first);
  void Take(Work& work, size_t i, const GetResult& result);
  void Write(Work& work);
  void InvalidateKeys(Work& work);
  void NoteError(Work& work, const std::string& key, const ResultError* error);

  const std::vector<ReplayRegion>& regions_;
  const RequestSource& source_;
  ReplayBatches& batches_;
  ReplayLedger& ledger_;
  const absl::Duration timeout_;
  Progress progress_;
  std::atomic<int> failed_in_a_row_{0};
};

// Index of kReplayTiers.
size_t ReplayTierOf(const GetResult& result);

// xxh3 of the key's text: what MakeReplayValue wants.
uint64_t ReplayKeyHash(std::string_view key_text);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_RUNNER_H_
