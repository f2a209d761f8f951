// RegionHotKeys puts together what the nodes of a region say of their hottest keys. A key that
// several nodes name (its old and its new owner, mirrors) has the sum of their rates.
//
// A node that is silent for kKept no longer counts. Bounded: kMaxReportedHotKeys a node.
// Thread safety: none; it is used on the coordinator's executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_REGION_HOT_KEYS_H_
#define MERIDIAN_SERVER_COORDINATOR_REGION_HOT_KEYS_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/cluster/hot_key.h"

namespace meridian {

class RegionHotKeys {
 public:
  static constexpr absl::Duration kKept = absl::Seconds(20);

  // Takes the place of the node's last report; of more than kMaxReportedHotKeys the first are
  // taken. `now` is monotonic.
  void Report(const std::string& node, std::vector<HotKey> keys, absl::Duration now);
  void Clear() { reports_.clear(); }

  // Hottest first, at most `limit`; of one namespace, or of all when it is empty.
  std::vector<HotKey> Top(std::string_view name_space, size_t limit, absl::Duration now);

 private:
  struct FromNode {
    std::vector<HotKey> keys;
    absl::Duration at;
  };

  std::map<std::string, FromNode> reports_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_REGION_HOT_KEYS_H_
