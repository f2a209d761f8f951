// HotSpread tells a client which of its reads any node may answer: those of a key that is a large
// part of all that it reads. Nodes keep mirrors of keys that they are asked for that often.
//
// Promise: a key that this client has written is read from its owner for kAfterWrite, longer than a
//   mirror may be behind: a client reads its own writes.
// Cost: a hash and a short lock a Get, of keys of a batch one lock for four; 2 KiB. Thread safety: all methods may be called
// concurrently.

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

  HotSpread() : hot_({.counters = 32, .sample = 1, .min_rate = 20, .min_share = 0.1}) {}

  // A Get of the key; true: any node will do.
  bool Spreads(std::string_view name_space, std::string_view key, absl::Duration now) {
    const uint64_t hash = HashOf(name_space, key);
    return hot_.Count(hash, now) && IsLongUnwritten(hash, now);
  }
  // The same of a key of a BatchGet; one in kBatchSample of them is counted.
  bool SpreadsOfBatch(std::string_view name_space, std::string_view key, absl::Duration now) {
    const uint64_t hash = HashOf(name_space, key);
    const bool is_hot = OneIn(kBatchSample) ? hot_.Count(hash, now) : hot_.IsHot(hash);
    return is_hot && IsLongUnwritten(hash, now);
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
