#include "common/engine/tag_list.h"

#include <array>
#include <cassert>
#include <cstdint>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {

std::string EncodeTags(const std::vector<std::string>& tags) {
  std::string encoded;
  for (const std::string& tag : tags) {
    assert(tag.size() <= std::numeric_limits<uint16_t>::max());
    encoded.push_back(static_cast<char>(tag.size() & 0xFF));
    encoded.push_back(static_cast<char>(tag.size() >> 8));
    encoded.append(tag);
  }
  return encoded;
}

std::optional<std::vector<std::string>> DecodeTags(std::string_view encoded) {
  std::vector<std::string> tags;
  while (!encoded.empty()) {
    const std::optional<std::string_view> tag = TakeTag(&encoded);
    if (!tag) return std::nullopt;
    tags.emplace_back(*tag);
  }
  return tags;
}

std::optional<std::string_view> TakeTag(std::string_view* encoded) {
  const std::string_view all = *encoded;
  *encoded = {};
  if (all.size() < 2) return std::nullopt;
  const size_t size = static_cast<uint8_t>(all[0]) | size_t{static_cast<uint8_t>(all[1])} << 8;
  if (size > all.size() - 2) return std::nullopt;
  *encoded = all.substr(2 + size);
  return all.substr(2, size);
}

std::string DependencyTag(std::string_view key) {
  const uint64_t hash = Hash64(key);
  std::array<char, sizeof(hash)> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(hash >> (8 * i));
  // A NUL, so that nobody's own tag is the same by chance.
  return absl::StrCat(absl::string_view("\0", 1),
                      absl::WebSafeBase64Escape(absl::string_view(bytes.data(), bytes.size())));
}

}  // namespace meridian
