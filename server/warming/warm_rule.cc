#include "server/warming/warm_rule.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/node/limits.h"
#include "server/policy/text.h"
#include "server/warming/key_list.h"

namespace meridian {
namespace {

absl::Status Bad(std::string_view text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " ", why));
}

// Text before a part in braces, and the part; `inner` is nullopt behind the last one. A brace that
// another one follows is text: "{{id}}" is a part in a hash tag.
struct Chunk {
  std::string text;
  std::optional<std::string> inner;
};

std::vector<Chunk> Split(std::string_view text) {
  std::vector<Chunk> chunks(1);
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t close = text[i] == '{' ? text.find_first_of("{}", i + 1) : std::string_view::npos;
    if (close == std::string_view::npos || text[close] != '}') {
      chunks.back().text.push_back(text[i]);
      continue;
    }
    chunks.back().inner = std::string(text.substr(i + 1, close - i - 1));
    chunks.emplace_back();
    i = close;
  }
  return chunks;
}

std::vector<std::string> FieldValues(const std::string& text) {
  std::vector<std::string> values;
  for (const absl::string_view each : absl::StrSplit(text, ',')) {
    const absl::string_view value = absl::StripAsciiWhitespace(each);
    if (!value.empty()) values.emplace_back(value);
  }
  return values;
}

}  // namespace

absl::StatusOr<KeyPattern> KeyPattern::Parse(std::string_view text) {
  KeyPattern pattern;
  if (text.size() > limits::kMaxKeyBytes) return Bad(text, "is longer than a key may be");
  RETURN_IF_ERROR(CheckBraces(text));
  for (Chunk& chunk : Split(text)) {
    if (chunk.text.empty() && !pattern.names_.empty() && chunk.inner.has_value()) {
      return Bad(text, "has two parts with nothing between them");
    }
    pattern.texts_.push_back(std::move(chunk.text));
    if (!chunk.inner.has_value()) continue;
    if (!IsName(*chunk.inner)) {
      return Bad(text, absl::StrCat("names the part ", QuoteKey(*chunk.inner),
                                    ", which is not [a-z0-9_.-]{1,64}"));
    }
    if (std::count(pattern.names_.begin(), pattern.names_.end(), *chunk.inner) > 0) {
      return Bad(text, absl::StrCat("names ", *chunk.inner, " twice"));
    }
    pattern.names_.push_back(*std::move(chunk.inner));
  }
  return pattern;
}

std::optional<std::vector<std::string>> KeyPattern::Match(std::string_view key) const {
  std::vector<std::string> values;
  if (texts_.empty() || (names_.empty() && texts_[0].empty())) return values;
  if (key.substr(0, texts_[0].size()) != texts_[0]) return std::nullopt;
  key.remove_prefix(texts_[0].size());
  for (size_t i = 0; i < names_.size(); ++i) {
    const std::string& after = texts_[i + 1];
    const bool last = i + 1 == names_.size();
    // What follows the last part is the end of the key; else the part ends as early as it can.
    size_t end =
        last && key.size() >= after.size() ? key.size() - after.size() : std::string_view::npos;
    if (!last) end = key.find(after, 1);
    if (end == std::string_view::npos || end == 0 || key.substr(end, after.size()) != after) {
      return std::nullopt;
    }
    values.emplace_back(key.substr(0, end));
    key.remove_prefix(end + after.size());
  }
  if (!key.empty()) return std::nullopt;
  return values;
}

absl::StatusOr<KeyTemplate> KeyTemplate::Parse(std::string_view text, size_t max_values) {
  KeyTemplate parsed;
  if (text.empty()) return absl::InvalidArgumentError("is empty");
  if (text.size() > limits::kMaxKeyBytes) return Bad(text, "is longer than a key may be");
  RETURN_IF_ERROR(CheckBraces(text));
  for (Chunk& chunk : Split(text)) {
    if (!chunk.text.empty()) parsed.pieces_.push_back({std::move(chunk.text), "", {}});
    if (!chunk.inner.has_value()) continue;
    const std::string& inner = *chunk.inner;
    if (IsName(inner) && inner.find("..") == std::string::npos) {
      parsed.pieces_.push_back({"", inner, {}});
      continue;
    }
    const absl::StatusOr<KeyList> list = KeyList::Parse({absl::StrCat("{", inner, "}")});
    if (!list.ok()) return list.status();
    if (list->size() == 1 && list->At(0) == absl::StrCat("{", inner, "}")) {
      return Bad(text, absl::StrCat("has ", QuoteKey(inner),
                                    " in braces: neither a name, nor a list, nor a range"));
    }
    if (list->size() > max_values) {
      return Bad(text, absl::StrCat("stands for more than ", max_values, " keys"));
    }
    Piece piece;
    for (uint64_t i = 0; i < list->size(); ++i) piece.list.push_back(list->At(i));
    parsed.pieces_.push_back(std::move(piece));
  }
  return parsed;
}

std::vector<std::string> KeyTemplate::names() const {
  std::vector<std::string> names;
  for (const Piece& piece : pieces_) {
    if (!piece.name.empty()) names.push_back(piece.name);
  }
  return names;
}

// nullptr: the piece is text, or a part without values.
const std::vector<std::string>* KeyTemplate::ValuesOf(const Piece& piece, const Values& values) {
  if (!piece.list.empty()) return &piece.list;
  const auto found = values.find(piece.name);
  return piece.name.empty() || found == values.end() ? nullptr : &found->second;
}

uint64_t KeyTemplate::Count(const Values& values) const {
  constexpr uint64_t kMany = 1 << 30;  // Enough to say that it is too many.
  uint64_t count = 1;
  for (const Piece& piece : pieces_) {
    const std::vector<std::string>* const choices = ValuesOf(piece, values);
    if (choices == nullptr && piece.name.empty()) continue;
    count *= choices == nullptr ? 0 : choices->size();
    count = std::min(count, kMany);
  }
  return count;
}

std::string KeyTemplate::At(const Values& values, uint64_t index) const {
  std::vector<const std::string*> words(pieces_.size());
  for (size_t i = pieces_.size(); i-- > 0;) {
    words[i] = &pieces_[i].text;
    const std::vector<std::string>* const choices = ValuesOf(pieces_[i], values);
    if (choices == nullptr) continue;
    words[i] = &(*choices)[index % choices->size()];
    index /= choices->size();
  }
  std::string key;
  for (const std::string* word : words) key += *word;
  return key;
}

std::optional<WarmRule::Keys> WarmRule::Expand(const WarmEvent& event) const {
  if (!IsFor(event)) return std::nullopt;
  const std::optional<std::vector<std::string>> bound = key.Match(event.key);
  if (!bound.has_value()) return std::nullopt;
  KeyTemplate::Values values = parts;
  for (const std::string& field : fields) {
    const auto given = event.fields.find(field);
    if (given != event.fields.end()) values[field] = FieldValues(given->second);
  }
  for (size_t i = 0; i < bound->size(); ++i) values[key.names()[i]] = {(*bound)[i]};
  Keys keys;
  size_t left = max_keys;
  for (const auto& [name_space, templates] : warm) {
    std::set<std::string> seen;
    std::vector<std::string>& made = keys.by_namespace[name_space];
    for (const KeyTemplate& each : templates) {
      const uint64_t count = each.Count(values);
      if (count == 0) ++keys.unbound;
      const uint64_t taken = std::min<uint64_t>(count, left);
      keys.cut += count - taken;
      left -= taken;
      for (uint64_t i = 0; i < taken; ++i) {
        std::string one = each.At(values, i);
        if (one.size() > limits::kMaxKeyBytes) {
          ++keys.invalid;
        } else if (seen.insert(one).second) {
          made.push_back(std::move(one));
        }
      }
    }
    if (made.empty()) keys.by_namespace.erase(name_space);
  }
  return keys;
}

}  // namespace meridian
