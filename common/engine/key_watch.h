// KeyWatch makes a shard count the changes of one key by themselves, for as long as it is there:
// a fill of the key is then voided by its own changes alone, and only by those that are newer than
// what it brings; and what they were is known.
//
// Cost: one entry of a hash table for each key that is watched, and while there is any, one lookup
// for each change of any key of the shard.
// Thread safety: all methods may be called concurrently. A watch may outlive the engine.

#ifndef MERIDIAN_COMMON_ENGINE_KEY_WATCH_H_
#define MERIDIAN_COMMON_ENGINE_KEY_WATCH_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/base/version.h"

namespace meridian {

// The keys of a shard that are watched, by their hashes.
class WatchTable {
 public:
  void Begin(uint64_t hash) ABSL_LOCKS_EXCLUDED(mu_);
  void End(uint64_t hash) ABSL_LOCKS_EXCLUDED(mu_);
  // As KeyWatch::newest.
  Version NewestOf(uint64_t hash) const ABSL_LOCKS_EXCLUDED(mu_);

  // The others are called under the shard's lock, which orders them.
  // As FillToken::change.
  uint64_t ChangeOf(uint64_t hash) const ABSL_LOCKS_EXCLUDED(mu_);
  void Changed(uint64_t hash, Version version) ABSL_LOCKS_EXCLUDED(mu_);
  // Whether a fill of `version` is void that began when ChangeOf was `change`.
  bool IsVoid(uint64_t hash, uint64_t change, Version version) const ABSL_LOCKS_EXCLUDED(mu_);
  // Every key, to versions that nobody tells: newer than any, as far as is known.
  void AllChanged() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Watched {
    uint32_t watches = 0;
    uint64_t begin = 0;  // What changed before is not known.
    uint64_t change = 0;
    Version newest;
  };

  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }

  std::atomic<size_t> size_{0};  // Of watched_.
  mutable absl::Mutex mu_;
  absl::flat_hash_map<uint64_t, Watched> watched_ ABSL_GUARDED_BY(mu_);
  uint64_t changes_ ABSL_GUARDED_BY(mu_) = 0;  // Of all keys that are watched, and begins.
  uint64_t cleared_ ABSL_GUARDED_BY(mu_) = 0;  // changes_ at the last AllChanged.
};

class KeyWatch {
 public:
  KeyWatch() = default;  // Of no key.
  // Engine::Watch makes them.
  KeyWatch(std::shared_ptr<WatchTable> table, uint64_t hash)
      : table_(std::move(table)), hash_(hash) {
    table_->Begin(hash_);
  }
  ~KeyWatch() {
    if (table_ != nullptr) table_->End(hash_);
  }
  KeyWatch(KeyWatch&& other) noexcept : table_(std::move(other.table_)), hash_(other.hash_) {}
  KeyWatch& operator=(KeyWatch&&) = delete;

  // The newest version that the key was put, written or erased with since it is watched, by whom
  // ever; not set: it was not. Beyond all when fills of all keys were voided.
  Version newest() const { return table_ == nullptr ? Version() : table_->NewestOf(hash_); }

 private:
  std::shared_ptr<WatchTable> table_;
  uint64_t hash_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_KEY_WATCH_H_
