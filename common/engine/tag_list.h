// Tags as one string, as records and L1 keep them: each a little-endian 16-bit size and the bytes.

#ifndef MERIDIAN_COMMON_ENGINE_TAG_LIST_H_
#define MERIDIAN_COMMON_ENGINE_TAG_LIST_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

// Empty for no tags. REQUIRES: each is shorter than 64 KiB.
std::string EncodeTags(const std::vector<std::string>& tags);
// nullopt for bytes that EncodeTags does not write.
std::optional<std::vector<std::string>> DecodeTags(std::string_view encoded);

// Takes the first tag off `*encoded`; nullopt at the end, and for bytes that EncodeTags does not
// write, which are then all taken. Does not allocate.
std::optional<std::string_view> TakeTag(std::string_view* encoded);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_TAG_LIST_H_
