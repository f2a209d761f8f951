// Numbers as options of command lines. The checks are for CLI11, whose own readers take "-1" for
// 18446744073709551615, what is too large for the largest that there is, "010" for 8, and let a NaN
// through every range.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_COMMON_BASE_NUMBER_OPTION_H_
#define MERIDIAN_COMMON_BASE_NUMBER_OPTION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace meridian {

// Empty when the text is fine, else what is wrong with it.
using OptionCheck = std::function<std::string(const std::string& text)>;

// As an OptionCheck; puts what is meant in the place of what is fine.
using OptionRewrite = std::function<std::string(std::string& text)>;

// Decimal digits, no sign, no leading zeros: a number from `low` to `high`.
OptionCheck WholeNumber(uint64_t low, uint64_t high);

// A whole number with an optional unit B, KiB, MiB, GiB, KB, MB, GB: "64MiB". nullopt for all else.
std::optional<uint64_t> ReadByteSize(std::string_view text);

// A size as ReadByteSize reads it, from `low` to `high` bytes. In place of it comes the number, for
// options that hold one.
OptionRewrite ByteSize(uint64_t low, uint64_t high);

// A decimal number from `low` to `high`, both finite.
OptionCheck FiniteNumber(double low, double high);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_NUMBER_OPTION_H_
