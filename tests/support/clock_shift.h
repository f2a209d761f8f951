// ClockShift is how far the wall clock of real processes is off: of those that are started with its
// environment(), from their start and whenever it changes. See clock_shift_preload.cc.
//
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_TESTS_SUPPORT_CLOCK_SHIFT_H_
#define MERIDIAN_TESTS_SUPPORT_CLOCK_SHIFT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/temp_dir.h"

namespace meridian {

class ClockShift {
 public:
  explicit ClockShift(absl::Duration shift = absl::ZeroDuration()) { Set(shift); }

  // Positive: the clocks are ahead. They jump.
  void Set(absl::Duration shift);
  // NAME=VALUE, for TestNodeOptions.
  std::vector<std::string> environment() const;

 private:
  const TempDir dir_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_CLOCK_SHIFT_H_
