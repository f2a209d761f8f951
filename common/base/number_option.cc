#include "common/base/number_option.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

// True when the whole of `text` is a number, which is then in `*number`.
template <typename T>
bool ReadAll(const std::string& text, T* number) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && stop == end;
}

}  // namespace

OptionCheck WholeNumber(uint64_t low, uint64_t high) {
  return [low, high](const std::string& text) -> std::string {
    uint64_t number = 0;
    const bool is_plain = text.size() == 1 || !text.starts_with('0');
    if (is_plain && ReadAll(text, &number) && number >= low && number <= high) return "";
    return absl::StrCat(QuoteKey(text), " is not a whole number from ", low, " to ", high);
  };
}

std::optional<uint64_t> ReadByteSize(std::string_view text) {
  constexpr struct {
    std::string_view name;
    uint64_t factor;
  } kUnits[] = {{"", 1},
                {"B", 1},
                {"KiB", 1ull << 10},
                {"MiB", 1ull << 20},
                {"GiB", 1ull << 30},
                {"KB", 1'000},
                {"MB", 1'000'000},
                {"GB", 1'000'000'000}};
  uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(stop - text.data()));
  for (const auto& unit : kUnits) {
    if (text != unit.name) continue;
    if (number > std::numeric_limits<uint64_t>::max() / unit.factor) return std::nullopt;
    return number * unit.factor;
  }
  return std::nullopt;
}

OptionRewrite ByteSize(uint64_t low, uint64_t high) {
  return [low, high](std::string& text) -> std::string {
    const std::optional<uint64_t> bytes = ReadByteSize(text);
    if (!bytes) return absl::StrCat(QuoteKey(text), " is not a size such as 4096, 64MiB or 2GiB");
    if (*bytes < low || *bytes > high) {
      return absl::StrCat(QuoteKey(text), " is not from ", low, " to ", high, " bytes");
    }
    text = absl::StrCat(*bytes);
    return "";
  };
}

OptionCheck FiniteNumber(double low, double high) {
  return [low, high](const std::string& text) -> std::string {
    double number = 0;
    if (ReadAll(text, &number) && std::isfinite(number) && number >= low && number <= high) {
      return "";
    }
    return absl::StrCat(QuoteKey(text), " is not a number from ", low, " to ", high);
  };
}

}  // namespace meridian
