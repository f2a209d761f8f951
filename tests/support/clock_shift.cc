#include "tests/support/clock_shift.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "tests/support/child_process.h"

namespace meridian {

void ClockShift::Set(absl::Duration shift) {
  const int64_t nanos = absl::ToInt64Nanoseconds(shift);
  // In place: processes have the file in their memory.
  const int file = open((dir_ / "shift").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || pwrite(file, &nanos, sizeof(nanos), 0) != sizeof(nanos)) std::abort();
  close(file);
}

std::vector<std::string> ClockShift::environment() const {
  return {absl::StrCat("LD_PRELOAD=", ProgramPath("libmeridian_clock_shift.so")),
          absl::StrCat("MERIDIAN_CLOCK_SHIFT=", dir_ / "shift")};
}

}  // namespace meridian
