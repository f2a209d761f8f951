// The sources of warming that there are: what a read that warms may name as its own
// (ReadOptions.warm_source), and a warm job as its source.

#ifndef MERIDIAN_SERVER_NODE_WARM_SOURCE_NAMES_H_
#define MERIDIAN_SERVER_NODE_WARM_SOURCE_NAMES_H_

#include <algorithm>
#include <array>
#include <string_view>

namespace meridian {

inline constexpr std::array<std::string_view, 6> kWarmSourceNames = {
    "fixed", "manual", "prediction", "rule", "schedule", "startup"};

inline bool IsWarmSource(std::string_view name) {
  return std::find(kWarmSourceNames.begin(), kWarmSourceNames.end(), name) !=
         kWarmSourceNames.end();
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_WARM_SOURCE_NAMES_H_
