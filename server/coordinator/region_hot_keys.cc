#include "server/coordinator/region_hot_keys.h"

#include <algorithm>
#include <utility>

namespace meridian {

void RegionHotKeys::Report(const std::string& node, std::vector<HotKey> keys, absl::Duration now) {
  if (keys.size() > kMaxReportedHotKeys) keys.resize(kMaxReportedHotKeys);
  reports_[node] = {std::move(keys), now};
}

std::vector<HotKey> RegionHotKeys::Top(std::string_view name_space, size_t limit,
                                       absl::Duration now) {
  std::map<std::pair<std::string_view, std::string_view>, double> sums;
  std::erase_if(reports_, [&](const auto& report) { return now - report.second.at > kKept; });
  for (const auto& [node, report] : reports_) {
    for (const HotKey& key : report.keys) {
      if (!name_space.empty() && key.name_space != name_space) continue;
      sums[{key.name_space, key.key}] += key.per_second;
    }
  }
  std::vector<HotKey> top;
  for (const auto& [name, per_second] : sums) {
    top.push_back({std::string(name.first), std::string(name.second), per_second});
  }
  KeepHottest(limit, &top);
  return top;
}

}  // namespace meridian
