// HotSpread tells a client which of its reads any node may answer: those of a key that comes
// kMinRate times a second or more and in kMinShare of the client's calls or more, a Get or a
// BatchGet being one call. Nodes keep mirrors of keys that they are asked for often.
//
// Promise: a key that this client has written is read from its owner for kAfterWrite, longer than a
//   mirror may be behind: a client reads its own writes. To fill a key under a lease is none. In
//   large batches a key is found for sure only when it is more than one in kCounters of the keys as
//   well: in every batch of 60, or in a third of the batches of 20.
// Cost: a hash and a short lock a Get, of keys of a batch one lock for four; 3 KiB. Thread safety:
// all methods may be called concurrently.

#ifndef MERIDIAN_CLIENT_INTERNAL_HOT_SPREAD_H_
#define MERIDIAN_CLIENT_INTERNAL_HOT_SPREAD_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/chance.h"
#include "common/base/hash.h"
#include "common/near/hot_keys.h"

namespace meridian {

class HotSpread {
 public:
  static constexpr absl::Duration kAfterWrite = absl::Seconds(15);
  static constexpr double kMinRate = 20;  // A second.
  static constexpr double kMinShare = 0.1;
  static constexpr size_t kCounters = 64;

  HotSpread()
      : hot_({.counters = kCounters, .sample = 1, .min_rate = kMinRate, .min_share = kMinShare}) {}

  // A Get of the key; true: any node will do.
  bool Spreads(std::string_view name_space, std::string_view key, absl::Duration now) {
    const uint64_t hash = HashOf(name_space, key);
    return hot_.Count(hash, now) && IsLongUnwritten(hash, now);
  }
  // The same of a key of a BatchGet of so many keys; one in kBatchSample of them is counted.
  bool SpreadsOfBatch(std::string_view name_space, std::string_view key, size_t batch,
                      absl::Duration now) {
    const uint64_t hash = HashOf(name_space, key);
    const bool is_hot =
        OneIn(kBatchSample)
            ? hot_.Count(hash, now,
                         {kBatchSample, double{kBatchSample} / static_cast<double>(batch)})
            : hot_.IsHot(hash);
    return is_hot && IsLongUnwritten(hash, now);
  }
  // The same of a read that was counted before.
  bool SpreadsStill(std::string_view name_space, std::string_view key, absl::Duration now) const {
    const uint64_t hash = HashOf(name_space, key);
    return hot_.IsHot(hash) && IsLongUnwritten(hash, now);
  }

  // Which node to ask for such a key: they take turns. Not by the turns of all calls: a key that is
  // every other call would meet every other node.
  uint64_t NextTurn() { return turn_.fetch_add(1, std::memory_order_relaxed); }

  // A write of the key begins, or has ended.
  void Wrote(std::string_view name_space, std::string_view key, absl::Duration now) {
    written_ns_[HashOf(name_space, key) % kWritten].store(absl::ToInt64Nanoseconds(now),
                                                          std::memory_order_relaxed);
  }

 private:
  static constexpr uint32_t kBatchSample = 4;
  static constexpr size_t kWritten = 256;  // A key that shares its place is not spread either.
  static uint64_t HashOf(std::string_view name_space, std::string_view key) {
    return Hash64(key, Hash64(name_space));
  }
  bool IsLongUnwritten(uint64_t hash, absl::Duration now) const {
    return written_ns_[hash % kWritten].load(std::memory_order_relaxed) <=
           absl::ToInt64Nanoseconds(now - kAfterWrite);
  }

  HotKeys hot_;
  std::array<std::atomic<int64_t>, kWritten> written_ns_ = {};
  std::atomic<uint64_t> turn_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_HOT_SPREAD_H_
