#include "server/node/hottest_keys.h"

#include <utility>

#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr double kLeastPerSecond = 0.01;  // Old counters never come to nothing by themselves.

// At most `limit` of each namespace, in no order.
std::vector<HotKey> Gather(const Namespaces& namespaces, std::string_view name_space, size_t limit,
                           absl::Duration now) {
  std::vector<HotKey> keys;
  for (const Namespace* each : namespaces.List()) {
    if (!name_space.empty() && each->name != name_space) continue;
    if (IsInternalNamespace(each->name)) continue;
    for (KeyRate& rate : each->rates.Top(limit, now)) {
      if (rate.per_second < kLeastPerSecond) break;
      keys.push_back({each->name, std::move(rate.key), rate.per_second});
    }
  }
  return keys;
}

}  // namespace

std::vector<HotKey> HottestKeys(const Namespaces& namespaces, std::string_view name_space,
                                size_t limit, absl::Duration now) {
  std::vector<HotKey> keys = Gather(namespaces, name_space, limit, now);
  KeepHottest(limit, &keys);
  return keys;
}

std::vector<HotKey> HotKeysToReport(const Namespaces& namespaces, absl::Duration now) {
  std::vector<HotKey> keys = Gather(namespaces, {}, kMaxReportedOfNamespace, now);
  KeepHottest(kMaxReportedHotKeys, &keys);
  KeepBytes(kMaxReportedBytes, &keys);
  return keys;
}

}  // namespace meridian
