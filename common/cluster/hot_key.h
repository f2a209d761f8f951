// HotKey: a key and how often it is asked for, as nodes tell their coordinator.

#ifndef MERIDIAN_COMMON_CLUSTER_HOT_KEY_H_
#define MERIDIAN_COMMON_CLUSTER_HOT_KEY_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

namespace meridian {

// So many a node tells, and no more are heard of one.
inline constexpr size_t kMaxReportedHotKeys = 500;

struct HotKey {
  std::string name_space;
  std::string key;
  double per_second = 0;  // Reads.
};

inline bool HotterThan(const HotKey& a, const HotKey& b) {
  if (a.per_second != b.per_second) return a.per_second > b.per_second;
  if (a.name_space != b.name_space) return a.name_space < b.name_space;
  return a.key < b.key;
}

// Sorts, hottest first, and keeps at most `limit`.
inline void KeepHottest(size_t limit, std::vector<HotKey>* keys) {
  const size_t count = std::min(limit, keys->size());
  std::partial_sort(keys->begin(), keys->begin() + static_cast<std::ptrdiff_t>(count), keys->end(),
                    HotterThan);
  keys->resize(count);
}

// Keeps the first, whose names and keys come to at most `bytes`.
inline void KeepBytes(size_t bytes, std::vector<HotKey>* keys) {
  size_t count = 0;
  for (size_t sum = 0; count < keys->size(); ++count) {
    sum += (*keys)[count].name_space.size() + (*keys)[count].key.size();
    if (sum > bytes) break;
  }
  keys->resize(count);
}

}  // namespace meridian

#endif  // MERIDIAN_COMMON_CLUSTER_HOT_KEY_H_
