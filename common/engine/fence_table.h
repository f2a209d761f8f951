// FenceTable tells whether an entry is dead by a fence: an invalidation of a namespace, of all keys
// with a prefix, or of all entries with a tag, which kills what is not newer than itself.
//
// Versions are compared by their clocks alone: an entry with the very clock of a fence is dead.
// Promise: after Add has returned, Covers says so of every entry that the fence covers, for ever: a
//   table that is full (kMaxFences) gives up the older half of the fences of the namespace that has
//   most, and fences all of that namespace at the newest clock among them instead. That kills more
//   than was asked, never less.
// Cost: Covers is two loads for an entry that is newer than every fence of its namespace. Else one
//   hash and one load for each depth of its key that has prefix fences and for each of its tags,
//   and a shared lock only when one of them looks like a match. 512 KiB from the first fence on,
//   and about 32 bytes a fence. Add is O(1), but for O(fences) when the table is full.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_ENGINE_FENCE_TABLE_H_
#define MERIDIAN_COMMON_ENGINE_FENCE_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/engine/entry.h"

namespace meridian {

// What a fence covers; the name is empty, a prefix that ends at a ':', or a tag.
enum class FenceScope : uint8_t { kNamespace, kPrefix, kTag };

class FenceTable {
 public:
  static constexpr size_t kMaxFences = 65'536;
  // Prefixes end at one of the first so many ':' of a key.
  static constexpr int kMaxPrefixDepth = 32;

  FenceTable() = default;
  ~FenceTable();
  FenceTable(const FenceTable&) = delete;
  FenceTable& operator=(const FenceTable&) = delete;

  // Adds a fence with this clock, or gives a known one a newer clock. False when it was known, with
  // the same clock or a newer one. REQUIRES for kPrefix: PrefixDepth(name) is not 0.
  bool Add(NamespaceId name_space, FenceScope scope, std::string_view name, uint64_t hlc)
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether an entry with this clock is dead. `tags` as Entry::tags.
  bool Covers(NamespaceId name_space, std::string_view key, std::string_view tags,
              uint64_t hlc) const ABSL_LOCKS_EXCLUDED(mu_) {
    const State* state = state_.load(std::memory_order_acquire);
    return state != nullptr &&
           hlc <= state->of[name_space].newest.load(std::memory_order_acquire) &&
           CoversOld(*state, name_space, key, tags, hlc);
  }

  // The newest clock among the fences that cover the key whatever tags its entry has; 0: none.
  uint64_t NewestOfKey(NamespaceId name_space, std::string_view key) const ABSL_LOCKS_EXCLUDED(mu_);

  // The newest clock at which everything that such a fence covers is dead; 0: none.
  uint64_t NewestOf(NamespaceId name_space, FenceScope scope, std::string_view name) const
      ABSL_LOCKS_EXCLUDED(mu_);

  // Whether there is any fence by tag: then what is dead depends on the tags of an entry.
  bool HasTags(NamespaceId name_space) const;

  // Grows whenever an entry may have died.
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }

  // How many fences there are.
  size_t size() const ABSL_LOCKS_EXCLUDED(mu_);

  // At which ':' of a key the prefix ends, from 1; 0 for what is no prefix that can be fenced: that
  // does not end with a ':', or is too deep.
  static int PrefixDepth(std::string_view prefix);

 private:
  struct OfNamespace {
    // Of all fences; written last.
    std::atomic<uint64_t> newest{0};
    std::atomic<uint64_t> all{0};     // Of the fence of the whole namespace.
    std::atomic<uint32_t> depths{0};  // Bit d-1: there was a prefix of depth d.
    std::atomic<bool> has_tags{false};
  };
  static constexpr size_t kFilterSize = size_t{1} << 16;
  // What is read without a lock. It only grows: clocks do.
  struct State {
    std::array<OfNamespace, 1024> of;  // By NamespaceId.
    // The newest clock of the fences whose hash ends here: older entries may be covered by one.
    std::array<std::atomic<uint64_t>, kFilterSize> filter = {};
  };
  using Clocks = absl::flat_hash_map<uint64_t, uint64_t>;  // By HashOf.

  static uint64_t HashOf(NamespaceId name_space, FenceScope scope, std::string_view name);
  bool CoversOld(const State& state, NamespaceId name_space, std::string_view key,
                 std::string_view tags, uint64_t hlc) const ABSL_LOCKS_EXCLUDED(mu_);
  // The clock of the fence with this hash; 0: none, or one older than `from`.
  uint64_t ClockOf(const State& state, NamespaceId name_space, uint64_t hash, uint64_t from) const
      ABSL_LOCKS_EXCLUDED(mu_);
  // `visit`(hash) for every prefix of the key that may have a fence, until it returns true.
  template <typename Visit>
  static bool AnyPrefix(const State& state, NamespaceId name_space, std::string_view key,
                        Visit visit);
  void MergeLargest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::atomic<State*> state_{nullptr};  // Made by the first Add.
  std::atomic<uint64_t> changes_{0};
  mutable absl::Mutex mu_;
  absl::flat_hash_map<NamespaceId, Clocks> clocks_ ABSL_GUARDED_BY(mu_);
  size_t size_ ABSL_GUARDED_BY(mu_) = 0;  // Of clocks_, all namespaces.
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_FENCE_TABLE_H_
