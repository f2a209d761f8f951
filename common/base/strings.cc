#include "common/base/strings.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace meridian {

std::string QuoteKey(std::string_view key) {
  constexpr size_t kShown = 64;
  const bool cut = key.size() > kShown;
  return absl::StrCat("'", absl::CHexEscape(ToAbsl(key.substr(0, kShown))), cut ? "...'" : "'");
}

}  // namespace meridian
