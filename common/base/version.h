// Version orders all writes of a key everywhere; HybridClock hands them out.
//
// A version is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014):
// 48 bits of milliseconds since the Unix epoch, a 16-bit counter, and the 16-bit id of the region
// that wrote, which breaks ties. Last writer wins by operator<=>.

#ifndef MERIDIAN_COMMON_BASE_VERSION_H_
#define MERIDIAN_COMMON_BASE_VERSION_H_

#include <atomic>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace meridian {

struct Version {
  uint64_t hlc = 0;     // Milliseconds << 16 | counter. 0: no version.
  uint16_t region = 0;  // RegionId() of the writer's region.

  static constexpr size_t kTextSize = 20;

  bool is_set() const { return hlc != 0; }
  absl::Time time() const { return absl::FromUnixMillis(static_cast<int64_t>(hlc >> 16)); }

  // 20 lower-case hex digits that sort as versions do: 12 of milliseconds, 4 of counter, 4 of region.
  std::string ToText() const;
  // Writes kTextSize characters to `out`, no terminator.
  void WriteText(char* out) const;
  // Accepts exactly what ToText writes.
  static std::optional<Version> FromText(std::string_view text);

  friend auto operator<=>(const Version&, const Version&) = default;
};

// The 16-bit id of a region: a hash of its name, never 0. Configuration refuses two regions whose
// ids collide. Frozen: stored versions depend on it (HybridClockTest.GoldenRegionIds).
uint16_t RegionId(std::string_view region_name);

// HybridClock hands out versions that grow, and that are newer than every version it was shown.
//
// Promise: Next() > every earlier Next() and every merged version. A wall clock that jumps back
//   does not stop it; the counter overflows into the milliseconds.
// Thread safety: lock-free; all methods may be called concurrently.
class HybridClock {
 public:
  // Versions further ahead of the wall clock than this are refused.
  static constexpr absl::Duration kMaxSkew = absl::Seconds(60);

  HybridClock(const Clock& clock, uint16_t region) : clock_(clock), region_(region) {}

  // A version newer than all before.
  Version Next();

  // Learns of a version seen elsewhere.
  // Returns kFailedPrecondition (CLOCK_SKEW), and learns nothing, when it is more than kMaxSkew ahead.
  absl::Status Merge(uint64_t hlc);

  // What Merge would say; learns nothing.
  absl::Status Check(uint64_t hlc) const;

  // The latest version handed out or merged; 0 at the start.
  uint64_t last() const { return last_.load(std::memory_order_relaxed); }
  uint16_t region() const { return region_; }

 private:
  const Clock& clock_;  // Not owned; outlives this.
  const uint16_t region_;
  std::atomic<uint64_t> last_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_VERSION_H_
