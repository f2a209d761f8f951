// Debian's Abseil is built as C++14, so absl::string_view is a class of its own. These two
// functions are the only bridge; they cost nothing.

#ifndef MERIDIAN_COMMON_BASE_STRINGS_H_
#define MERIDIAN_COMMON_BASE_STRINGS_H_

#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace meridian {

inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToStd(absl::string_view s) { return {s.data(), s.size()}; }

// `key` for people: escaped, and cut to 64 bytes. Keys may hold any bytes; logs and errors may not.
std::string QuoteKey(std::string_view key);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_STRINGS_H_
