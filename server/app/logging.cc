#include "server/app/logging.h"

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace meridian {
namespace {

constexpr std::pair<const char*, spdlog::level::level_enum> kLevels[] = {
    {"trace", spdlog::level::trace}, {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},   {"warn", spdlog::level::warn},
    {"error", spdlog::level::err}};

const char* LevelName(spdlog::level::level_enum level) {
  for (const auto& [name, value] : kLevels) {
    if (value == level) return name;
  }
  return "error";
}

// A line of JSON for each event; whatever is in the message, the line stays one valid object.
class JsonFormatter final : public spdlog::formatter {
 public:
  explicit JsonFormatter(std::vector<std::pair<std::string, std::string>> fields)
      : fields_(std::move(fields)) {}

  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    nlohmann::ordered_json line;
    line["ts"] = absl::FormatTime(absl::RFC3339_full, absl::FromChrono(message.time),
                                  absl::UTCTimeZone());
    line["level"] = LevelName(message.level);
    line["msg"] = std::string(message.payload.data(), message.payload.size());
    for (const auto& [key, value] : fields_) line[key] = value;
    const std::string text =
        line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
    out.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(fields_);
  }

 private:
  const std::vector<std::pair<std::string, std::string>> fields_;
};

absl::StatusOr<spdlog::level::level_enum> ParseLevel(const std::string& level) {
  for (const auto& [name, value] : kLevels) {
    if (level == name) return value;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("log level '", level, "' is not one of trace, debug, info, warn, error"));
}

}  // namespace

absl::Status SetUpLogging(const LoggingOptions& options) {
  const absl::StatusOr<spdlog::level::level_enum> level = ParseLevel(options.level);
  if (!level.ok()) return level.status();
  auto logger = std::make_shared<spdlog::logger>("meridian",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  if (options.format == "json") {
    logger->set_formatter(std::make_unique<JsonFormatter>(options.fields));
  } else if (options.format == "text") {
    std::string prefix;
    for (const auto& [key, value] : options.fields) absl::StrAppend(&prefix, value, " ");
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %l " + prefix + "%v");
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("log format '", options.format, "' is not text or json"));
  }
  logger->set_level(*level);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

absl::StatusOr<std::string> SetLogLevel(const std::string& level) {
  const absl::StatusOr<spdlog::level::level_enum> parsed = ParseLevel(level);
  if (!parsed.ok()) return parsed.status();
  const std::string previous = LevelName(spdlog::get_level());
  spdlog::set_level(*parsed);
  return previous;
}

}  // namespace meridian
