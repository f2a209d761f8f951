// Values of configuration as people write them: "64MiB", "250ms", "127.0.0.1:7400".
//
// Every parser returns kInvalidArgument that shows the text and the rule.

#ifndef MERIDIAN_SERVER_POLICY_TEXT_H_
#define MERIDIAN_SERVER_POLICY_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

// A whole number with an optional unit B, KiB, MiB, GiB, KB, MB, GB.
absl::StatusOr<uint64_t> ParseBytes(std::string_view text);

// One or more of number + unit (ms, s, m, h, d): "1h30m". "0" needs no unit. Not negative.
absl::StatusOr<absl::Duration> ParseDuration(std::string_view text);

// A whole number from `low` to `high`.
absl::StatusOr<uint64_t> ParseInteger(std::string_view text, uint64_t low, uint64_t high);

// A decimal number from `low` to `high`: "0.05". No exponent.
absl::StatusOr<double> ParseNumber(std::string_view text, double low, double high);

// What ParseDuration reads back: "1h30m", "250ms", "0". Whole milliseconds.
std::string DurationText(absl::Duration duration);

// What ParseNumber reads back, in up to six digits: "0.05".
std::string NumberText(double number);

// The one of `known` that differs least from `text`, for "did you mean". REQUIRES: one is known.
std::string NearestOf(std::string_view text, const std::vector<std::string>& known);

// "true" or "false".
absl::StatusOr<bool> ParseBool(std::string_view text);

// "host:port" with a port 0..65535; an IPv6 host stands in brackets.
absl::Status CheckAddress(std::string_view text);

// The whole of a file of at most 1 MiB; kNotFound, kInvalidArgument with its name.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path);

// True for addresses that only this machine reaches: 127.0.0.0/8, [::1], localhost.
bool IsLoopback(std::string_view address);

// [a-z0-9._-]{1,64}: names of regions, nodes and namespaces.
bool IsName(std::string_view text);
absl::Status CheckName(std::string_view text);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_TEXT_H_
