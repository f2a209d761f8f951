#include "server/policy/text.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/number_option.h"
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

constexpr size_t kMaxFileBytes = 1 << 20;

// Levenshtein distance.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

absl::StatusOr<uint64_t> ParseBytes(std::string_view text) {
  const std::optional<uint64_t> bytes = ReadByteSize(text);
  if (!bytes) return Bad(text, "a size such as 4096, 64MiB or 2GiB");
  return *bytes;
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

absl::StatusOr<double> ParseNumber(std::string_view text, double low, double high) {
  const bool digits =
      !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
  double number;
  if (!digits || !absl::SimpleAtod(ToAbsl(text), &number) || !(number >= low) || number > high) {
    return Bad(text, absl::StrCat("a number from ", NumberText(low), " to ", NumberText(high)));
  }
  return number;
}

std::string DurationText(absl::Duration duration) {
  constexpr struct {
    const char* name;
    int64_t ms;
  } kUnits[] = {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1000}, {"ms", 1}};
  int64_t rest = absl::ToInt64Milliseconds(duration);
  std::string text;
  for (const auto& unit : kUnits) {
    if (rest >= unit.ms) absl::StrAppend(&text, rest / unit.ms, unit.name);
    rest %= unit.ms;
  }
  return text.empty() ? "0" : text;
}

std::string NumberText(double number) { return absl::StrCat(number); }

std::string NearestOf(std::string_view text, const std::vector<std::string>& known) {
  return *std::min_element(known.begin(), known.end(), [text](const auto& a, const auto& b) {
    return EditDistance(text, a) < EditDistance(text, b);
  });
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
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '.' || c == '-';
  });
}

absl::Status CheckName(std::string_view text) {
  if (IsName(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " is not [a-z0-9_.-]{1,64}"));
}

absl::StatusOr<std::string> ReadSmallFile(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  // A directory would read as an empty file; a pipe may never end.
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": is ", std::filesystem::is_directory(status) ? "a directory" : "not a file",
        "; give an existing file"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) {
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read; give an existing file"));
  }
  text.resize(static_cast<size_t>(stream.gcount()));
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": larger than 1 MiB"));
  }
  return text;
}

}  // namespace meridian
