// Durations as people type them: 500ms, 30s, 5m, 2h, 7d, 1h30m.

#ifndef MERIDIAN_CLIENT_CLI_DURATION_TEXT_H_
#define MERIDIAN_CLIENT_CLI_DURATION_TEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace meridian::cli {

// Numbers (decimals too) with units us, ms, s, m, h, d, one after the other; "0" needs no unit.
// nullopt for everything else, also for negative durations and for more than 100 years.
std::optional<absl::Duration> ParseDuration(std::string_view text);

// For the options of the command line: empty when `text` is a duration (longer than nothing), else
// what is wrong with it.
std::string DurationProblem(const std::string& text);
std::string PositiveDurationProblem(const std::string& text);

// The shortest form for people, to two units: "4m59s", "250ms".
std::string DurationText(absl::Duration duration);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_DURATION_TEXT_H_
