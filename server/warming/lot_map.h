// LotMap is a map of bounded size: when it is full, of a few entries that are drawn by lot the one
// that is worth least gives way to the next.
//
// `Of` has `double worth(absl::Duration now) const`. Cost: O(1), kDraws look-ups when it is full;
// a pointer is valid until the next Get. Thread safety: none.

#ifndef MERIDIAN_SERVER_WARMING_LOT_MAP_H_
#define MERIDIAN_SERVER_WARMING_LOT_MAP_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace meridian {

template <typename Of>
class LotMap {
 public:
  // REQUIRES: most > 0.
  LotMap(size_t most, uint64_t seed) : most_(most), random_(seed * 2 + 1) {}

  // The entry, perhaps a new one.
  Of& Get(uint64_t key, absl::Duration now) {
    if (const auto it = map_.find(key); it != map_.end()) return it->second;
    if (list_.size() < most_) {
      list_.push_back(key);
    } else {
      size_t least = Draw();
      for (int i = 1; i < kDraws; ++i) {
        const size_t other = Draw();
        if (map_.at(list_[other]).worth(now) < map_.at(list_[least]).worth(now)) least = other;
      }
      map_.erase(list_[least]);
      list_[least] = key;
    }
    return map_[key];
  }
  const Of* Find(uint64_t key) const {
    const auto it = map_.find(key);
    return it == map_.end() ? nullptr : &it->second;
  }
  Of* Find(uint64_t key) {
    const auto it = map_.find(key);
    return it == map_.end() ? nullptr : &it->second;
  }
  const std::vector<uint64_t>& keys() const { return list_; }
  size_t size() const { return list_.size(); }
  void Clear() {
    map_.clear();
    list_.clear();
  }

 private:
  static constexpr int kDraws = 5;

  size_t Draw() {
    random_ = random_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<size_t>((random_ >> 33) % list_.size());
  }

  const size_t most_;
  uint64_t random_;
  absl::flat_hash_map<uint64_t, Of> map_;
  std::vector<uint64_t> list_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_LOT_MAP_H_
