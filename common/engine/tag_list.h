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

// The tag of entries that depend on this key, in the form in which it is cached: 12 bytes, valid
// UTF-8. Frozen: records have it (docs/adr/0016-dependencies-are-tags.md).
std::string DependencyTag(std::string_view key);

// Marks among the tags of an entry, which whatever depends on it inherits as it does tags: not all
// that the entry inherits is among them; or some of it hangs on a key that was not stored. Frozen.
inline constexpr std::string_view kDependenciesCutMark("\0cut", 4);
inline constexpr std::string_view kDependenciesUnknownMark("\0unknown", 8);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_TAG_LIST_H_
