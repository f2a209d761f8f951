// Faults are what a fault proxy does to the connections that it carries; FaultsText is how people
// and scripts say it, e.g. "delay=40ms jitter=5ms down.rate=1MiB cut=on".
//
// Two directions: `up` from the client to the target, `down` back. A key without `up.` or `down.`
// is for both.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULTS_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULTS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

struct DirectionFaults {
  absl::Duration delay = absl::ZeroDuration();  // Every byte arrives so much later.
  absl::Duration jitter =
      absl::ZeroDuration();       // And up to so much later still; the order of bytes stays.
  uint64_t bytes_per_second = 0;  // Of all connections together; 0: no limit.
  bool stall = false;             // Nothing arrives until it ends, then everything does.
  bool cut = false;               // What is sent is lost; nobody is told.

  bool operator==(const DirectionFaults&) const = default;
};

struct Faults {
  DirectionFaults up;
  DirectionFaults down;
  bool refuse = false;  // Connections, old and new, are reset at once.

  bool AnyCut() const { return up.cut || down.cut; }
  bool operator==(const Faults&) const = default;
};

// `before` with the words of `text` applied, in their order; "clear" takes everything back. An
// error names the word.
absl::StatusOr<Faults> ParseFaults(std::string_view text, const Faults& before);

// Words that ParseFaults makes the same of; empty when there is no fault.
std::string FaultsText(const Faults& faults);

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULTS_H_
