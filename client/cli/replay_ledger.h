// ReplayLedger remembers what a replay wrote and what was acknowledged, and judges every answer by
// it.
//
// An answer is right when
//  - its bytes are those of a value that this replay wrote for this key (or another replay did, of
//    which nothing more is known), of the right size and a generation that was issued;
//  - its version is not older than that of any write or invalidation of the key that was
//  acknowledged
//    in the same region before the read began (the floor): regions agree by last writer wins, so
//    what another region wrote may replace it only when it is newer;
//  - the same version always brings the same generation, and never the version of an invalidation.
// A miss is always right: this is a cache.
//
// Cost: about 16 + 16 per region + 30 bytes a key. One lock; take it once a batch.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_LEDGER_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_LEDGER_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/replay_source.h"
#include "client/cli/replay_value.h"
#include "client/cpp/client.h"

namespace meridian::cli {

class ReplayLedger {
 public:
  // `run` goes into every value.
  ReplayLedger(size_t regions, uint32_t run) : regions_(regions), run_(run) {}

  // The keys of `requests` as the ledger numbers them, and their floors in `region` now. To be
  // called before the read is sent.
  struct Expectation {
    uint32_t index = 0;
    Version floor;
  };
  std::vector<Expectation> Begin(size_t region, std::span<const ReplayRequest> requests)
      ABSL_LOCKS_EXCLUDED(mu_);

  // The next generation of a key, for a write that is about to be sent.
  ReplayStamp Issue(uint32_t index) ABSL_LOCKS_EXCLUDED(mu_);

  // A write of `generation` (0: an invalidation) was acknowledged in `region`.
  void Acknowledge(size_t region, uint32_t index, Version version, uint32_t generation)
      ABSL_LOCKS_EXCLUDED(mu_);

  // nullopt when the answer is right, otherwise what is wrong with it.
  struct Mismatch {
    std::string reason;  // UPPER_SNAKE_CASE.
    std::string detail;
  };
  std::optional<Mismatch> Judge(const Expectation& expectation, uint64_t key_hash,
                                const GetResult& result) const ABSL_LOCKS_EXCLUDED(mu_);

  // Every key that was ever begun.
  std::vector<ReplayRequest> Keys() const ABSL_LOCKS_EXCLUDED(mu_) { return KeysIssued(0); }
  // Of these, those for which a write was sent.
  std::vector<ReplayRequest> WrittenKeys() const ABSL_LOCKS_EXCLUDED(mu_) { return KeysIssued(1); }

 private:
  struct Acknowledged {
    Version version;
    uint32_t generation = 0;
  };
  struct Key {
    uint64_t key;
    uint32_t issued = 0;  // Generations.
    uint8_t name_space;
  };

  // Of which so many generations were issued at least.
  std::vector<ReplayRequest> KeysIssued(uint32_t generations) const ABSL_LOCKS_EXCLUDED(mu_);

  Acknowledged& At(size_t region, uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return acknowledged_[index * regions_ + region];
  }

  const size_t regions_;
  const uint32_t run_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<uint64_t, uint32_t> index_of_ ABSL_GUARDED_BY(mu_);
  std::vector<Key> keys_ ABSL_GUARDED_BY(mu_);
  std::vector<Acknowledged> acknowledged_ ABSL_GUARDED_BY(mu_);  // regions_ a key.
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_LEDGER_H_
