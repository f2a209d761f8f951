// Whether bytes are text. Cost: one pass. Thread safety: a pure function.

#ifndef MERIDIAN_COMMON_BASE_UTF8_H_
#define MERIDIAN_COMMON_BASE_UTF8_H_

#include <string_view>

namespace meridian {

// As RFC 3629 says: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool IsUtf8(std::string_view text);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_BASE_UTF8_H_
