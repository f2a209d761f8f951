// Logs: one line an event on standard error, as text for people or as JSON for machines.
//
// JSON fields: ts (RFC 3339, UTC), level, msg, and what SetUpLogging was given (node, region).

#ifndef MERIDIAN_SERVER_APP_LOGGING_H_
#define MERIDIAN_SERVER_APP_LOGGING_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

struct LoggingOptions {
  std::string level = "info";    // trace, debug, info, warn, error.
  std::string format = "text";   // text, json.
  std::vector<std::pair<std::string, std::string>> fields;  // In every line.
};

// Makes spdlog's default logger. Returns kInvalidArgument for an unknown level or format.
absl::Status SetUpLogging(const LoggingOptions& options);

// Changes the level and returns the one before. Returns kInvalidArgument for an unknown level.
absl::StatusOr<std::string> SetLogLevel(const std::string& level);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_APP_LOGGING_H_
