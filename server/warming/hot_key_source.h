// HotKeySource says which keys of a namespace are asked for most: the port that the lists of
// warming
// (`top:`) stand on. HotKeyLead is the real one; NoHotKeys knows none.

#ifndef MERIDIAN_SERVER_WARMING_HOT_KEY_SOURCE_H_
#define MERIDIAN_SERVER_WARMING_HOT_KEY_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/cluster/hot_key.h"

namespace meridian {

enum class HotKeyWindow : uint8_t {
  kNow,       // What nodes say now.
  kNextHour,  // What the hour of the week that follows was like in the weeks before.
  kDay,       // The last 24 hours.
  kTwoDays,
};

class HotKeySource {
 public:
  using Done = std::function<void(const absl::StatusOr<std::vector<HotKey>>&)>;

  virtual ~HotKeySource() = default;
  // Hottest first, at most `limit`. `done` is called on the executor of who asks, perhaps before
  // this returns.
  virtual void Top(HotKeyWindow window, const std::string& name_space, size_t limit, Done done) = 0;
};

class NoHotKeys final : public HotKeySource {
 public:
  void Top(HotKeyWindow /*window*/, const std::string& /*name_space*/, size_t /*limit*/,
           Done done) override {
    done(std::vector<HotKey>());
  }
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_HOT_KEY_SOURCE_H_
