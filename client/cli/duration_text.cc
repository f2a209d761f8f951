#include "client/cli/duration_text.h"

#include <array>
#include <cstdint>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kLongest = absl::Hours(24 * 365 * 100);

// Longer names first where one begins like another.
const std::pair<std::string_view, absl::Duration> kUnits[] = {
    {"us", absl::Microseconds(1)}, {"ms", absl::Milliseconds(1)}, {"s", absl::Seconds(1)},
    {"m", absl::Minutes(1)},       {"h", absl::Hours(1)},         {"d", absl::Hours(24)}};

// Cuts a unit off the front; zero when there is none.
absl::Duration TakeUnit(std::string_view* text) {
  for (const auto& [name, unit] : kUnits) {
    if (text->substr(0, name.size()) == name) {
      text->remove_prefix(name.size());
      return unit;
    }
  }
  return absl::ZeroDuration();
}

}  // namespace

std::optional<absl::Duration> ParseDuration(std::string_view text) {
  if (text == "0") return absl::ZeroDuration();
  if (text.empty()) return std::nullopt;
  absl::Duration total;
  while (!text.empty()) {
    const size_t digits = text.find_first_not_of("0123456789.");
    double number = 0;
    if (digits == 0 || digits == std::string_view::npos ||
        !absl::SimpleAtod(ToAbsl(text.substr(0, digits)), &number)) {
      return std::nullopt;
    }
    text.remove_prefix(digits);
    const absl::Duration unit = TakeUnit(&text);
    if (unit == absl::ZeroDuration()) return std::nullopt;
    total += unit * number;
    if (total > kLongest) return std::nullopt;
  }
  return total;
}

std::string DurationProblem(const std::string& text) {
  if (ParseDuration(text)) return "";
  return absl::StrCat("\"", text, "\" is not a duration such as 500ms, 30s, 5m, 7d");
}

std::string PositiveDurationProblem(const std::string& text) {
  if (ParseDuration(text) == absl::ZeroDuration()) return "must be longer than nothing";
  return DurationProblem(text);
}

std::string DurationText(absl::Duration duration) {
  const int64_t ms = absl::ToInt64Milliseconds(duration);
  if (ms < 1000) return absl::StrCat(ms, "ms");
  constexpr std::array<std::pair<int64_t, const char*>, 4> kParts = {
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}}};
  for (size_t i = 0; i < kParts.size(); ++i) {
    if (ms < kParts[i].first) continue;
    std::string text = absl::StrCat(ms / kParts[i].first, kParts[i].second);
    if (i + 1 < kParts.size()) {
      const int64_t rest = ms % kParts[i].first / kParts[i + 1].first;
      if (rest > 0) absl::StrAppend(&text, rest, kParts[i + 1].second);
    }
    return text;
  }
  return "0ms";
}

}  // namespace meridian::cli
