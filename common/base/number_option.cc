#include "common/base/number_option.h"

#include <charconv>
#include <cmath>
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
