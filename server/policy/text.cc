#include "server/policy/text.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

absl::Status Bad(std::string_view text, std::string_view rule) {
  return absl::InvalidArgumentError(absl::StrCat(ToAbsl(QuoteKey(text)), " is not ", ToAbsl(rule)));
}

// Splits leading digits from `*text`. False when there are none or they overflow.
bool TakeNumber(std::string_view* text, uint64_t* number) {
  size_t digits = 0;
  while (digits < text->size() && absl::ascii_isdigit((*text)[digits])) ++digits;
  if (!absl::SimpleAtoi(ToAbsl(text->substr(0, digits)), number)) return false;
  text->remove_prefix(digits);
  return true;
}

}  // namespace

absl::StatusOr<uint64_t> ParseBytes(std::string_view text) {
  constexpr std::string_view kRule = "a size such as 4096, 64MiB or 2GiB";
  constexpr struct {
    std::string_view name;
    uint64_t factor;
  } kUnits[] = {{"", 1},          {"B", 1},           {"KiB", 1ull << 10}, {"MiB", 1ull << 20},
                {"GiB", 1ull << 30}, {"KB", 1'000},     {"MB", 1'000'000},   {"GB", 1'000'000'000}};
  std::string_view rest = text;
  uint64_t number;
  if (!TakeNumber(&rest, &number)) return Bad(text, kRule);
  for (const auto& unit : kUnits) {
    if (rest != unit.name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / unit.factor) return Bad(text, kRule);
    return number * unit.factor;
  }
  return Bad(text, kRule);
}

absl::StatusOr<absl::Duration> ParseDuration(std::string_view text) {
  constexpr std::string_view kRule = "a duration such as 250ms, 30s, 5m, 1h30m or 7d";
  constexpr uint64_t kMaxNumber = 1'000'000'000;
  if (text == "0") return absl::ZeroDuration();
  std::string_view rest = text;
  absl::Duration sum;
  if (rest.empty()) return Bad(text, kRule);
  while (!rest.empty()) {
    uint64_t number;
    if (!TakeNumber(&rest, &number) || number > kMaxNumber) return Bad(text, kRule);
    absl::Duration unit;
    size_t size = 1;
    if (rest.substr(0, 2) == "ms") {
      unit = absl::Milliseconds(1);
      size = 2;
    } else if (rest.substr(0, 1) == "s") {
      unit = absl::Seconds(1);
    } else if (rest.substr(0, 1) == "m") {
      unit = absl::Minutes(1);
    } else if (rest.substr(0, 1) == "h") {
      unit = absl::Hours(1);
    } else if (rest.substr(0, 1) == "d") {
      unit = absl::Hours(24);
    } else {
      return Bad(text, kRule);
    }
    sum += unit * static_cast<int64_t>(number);
    rest.remove_prefix(size);
  }
  return sum;
}

absl::StatusOr<uint64_t> ParseInteger(std::string_view text, uint64_t low, uint64_t high) {
  std::string_view rest = text;
  uint64_t number;
  if (!TakeNumber(&rest, &number) || !rest.empty() || number < low || number > high) {
    return Bad(text, absl::StrCat("a whole number from ", low, " to ", high));
  }
  return number;
}

absl::StatusOr<bool> ParseBool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return Bad(text, "true or false");
}

absl::Status CheckAddress(std::string_view text) {
  constexpr std::string_view kRule = "host:port with a port from 0 to 65535";
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return Bad(text, kRule);
  const std::string_view host = text.substr(0, colon);
  if (host.find(':') != std::string_view::npos && (host.front() != '[' || host.back() != ']')) {
    return Bad(text, "host:port: an IPv6 host stands in brackets, as in [::1]:7400");
  }
  if (!ParseInteger(text.substr(colon + 1), 0, 65535).ok()) return Bad(text, kRule);
  return absl::OkStatus();
}

bool IsLoopback(std::string_view address) {
  return absl::StartsWith(ToAbsl(address), "127.") || absl::StartsWith(ToAbsl(address), "[::1]:") ||
         absl::StartsWith(ToAbsl(address), "localhost:");
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.' ||
                  c == '-';
         });
}

}  // namespace meridian
