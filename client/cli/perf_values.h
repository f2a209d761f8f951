// What the performance tester writes, and where: keys of its own, which it removes at the end, with
// values that can be checked to the last byte.

#ifndef MERIDIAN_CLIENT_CLI_PERF_VALUES_H_
#define MERIDIAN_CLIENT_CLI_PERF_VALUES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/replay_value.h"
#include "common/base/hash.h"

namespace meridian::cli {

struct PerfValues {
  uint32_t run = 0;  // Random, so that two testers do not meet.
  uint32_t bytes = 1024;
  // Should the removal fail, the keys go by themselves.
  absl::Duration ttl = absl::Minutes(10);
  absl::Duration origin_delay = absl::ZeroDuration();  // How long the stand-in of an origin takes.

  // "perf:9a3f01c2:pair:7".
  std::string Key(std::string_view test, uint64_t i) const {
    return absl::StrCat("perf:", absl::Hex(run, absl::kZeroPad8), ":",
                        absl::string_view(test.data(), test.size()), ":", i);
  }
  std::string Value(std::string_view key) const {
    return MakeReplayValue(Hash64(key), {run, 1}, bytes);
  }
};

// What went wrong, counted, with the first example.
struct PerfProblems {
  uint64_t count = 0;
  std::string first = {};

  void Add(std::string text) {
    if (++count == 1) first = std::move(text);
  }
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_VALUES_H_
