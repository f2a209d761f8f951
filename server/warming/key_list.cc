#include "server/warming/key_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr size_t kMaxDigits = 18;

bool IsNumber(absl::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
}

absl::Status Bad(std::string_view text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " ", why));
}

absl::Status Located(const std::string& where, const absl::Status& status) {
  return absl::InvalidArgumentError(absl::StrCat(where, ": ", status.message()));
}

bool IsRange(absl::string_view text) {
  const size_t dots = text.find("..");
  return dots != absl::string_view::npos && IsNumber(text.substr(0, dots)) &&
         IsNumber(text.substr(dots + 2));
}

}  // namespace

absl::Status CheckBraces(std::string_view text) {
  int open = 0;
  for (const char c : text) {
    if (c == '{') ++open;
    if (c == '}' && --open < 0) return Bad(text, "has a } that no { opens");
  }
  return open == 0 ? absl::OkStatus() : Bad(text, "has a { that no } closes");
}

absl::StatusOr<std::shared_ptr<const KeyList::Values>> KeyList::ParseValues(std::string_view text) {
  auto values = std::make_shared<Values>();
  if (IsRange(ToAbsl(text))) {
    const size_t dots = text.find("..");
    const absl::string_view low = ToAbsl(text.substr(0, dots));
    const absl::string_view high = ToAbsl(text.substr(dots + 2));
    uint64_t last = 0;
    if (std::max(low.size(), high.size()) > kMaxDigits || !absl::SimpleAtoi(low, &values->first) ||
        !absl::SimpleAtoi(high, &last)) {
      return Bad(text, absl::StrCat("has a number of more than ", kMaxDigits, " digits"));
    }
    if (last < values->first) return Bad(text, "runs backwards");
    values->count = last - values->first + 1;
    if (low.size() > 1 && low[0] == '0') values->width = low.size();
    return values;
  }
  for (const absl::string_view member : absl::StrSplit(ToAbsl(text), ',')) {
    const absl::string_view word = absl::StripAsciiWhitespace(member);
    if (word.empty()) return Bad(text, "has an empty member");
    values->list.emplace_back(word);
  }
  values->count = values->list.size();
  return values;
}

absl::StatusOr<KeyList::Template> KeyList::ParseText(std::string_view text,
                                                     std::map<std::string, Part>* parts) {
  RETURN_IF_ERROR(CheckBraces(text));
  Template pieces;
  std::string plain;
  const auto end_plain = [&] {
    if (!plain.empty()) pieces.push_back({std::exchange(plain, ""), nullptr});
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t close = text[i] == '{' ? text.find_first_of("{}", i + 1) : std::string_view::npos;
    if (close == std::string_view::npos || text[close] != '}') {
      plain.push_back(text[i]);
      continue;
    }
    const std::string inner(text.substr(i + 1, close - i - 1));
    std::shared_ptr<const Values> values;
    if (const auto part = parts->find(inner); part != parts->end()) {
      part->second.used = true;
      values = part->second.values;
    } else if (IsRange(inner) || inner.find(',') != std::string::npos) {
      ASSIGN_OR_RETURN(values, ParseValues(inner));
    } else {  // A hash tag, say.
      plain.append(text.substr(i, close - i + 1));
      i = close;
      continue;
    }
    end_plain();
    pieces.push_back({"", std::move(values)});
    i = close;
  }
  end_plain();
  return pieces;
}

size_t KeyList::LongestOf(const Piece& piece) {
  if (piece.values == nullptr) return piece.text.size();
  const Values& values = *piece.values;
  if (values.list.empty()) {
    return std::max(values.width, absl::StrCat(values.first + values.count - 1).size());
  }
  size_t longest = 0;
  for (const std::string& word : values.list) longest = std::max(longest, word.size());
  return longest;
}

absl::StatusOr<uint64_t> KeyList::Count(std::string_view text, const Template& pieces) {
  uint64_t count = 1;
  size_t longest = 0;
  for (const Piece& piece : pieces) {
    longest += LongestOf(piece);
    if (piece.values == nullptr) continue;
    if (piece.values->count > kMaxWarmKeys / count) {
      return Bad(text, absl::StrCat("stands for more than ", kMaxWarmKeys, " keys"));
    }
    count *= piece.values->count;
  }
  if (longest == 0) return absl::InvalidArgumentError("is empty");
  if (longest > limits::kMaxKeyBytes) {
    return Bad(text, absl::StrCat("makes keys of more than ", limits::kMaxKeyBytes, " bytes"));
  }
  return count;
}

absl::StatusOr<KeyList> KeyList::Parse(const std::vector<std::string>& texts,
                                       const KeyParts& given) {
  if (texts.empty()) return absl::InvalidArgumentError("keys: there is none");
  size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  for (const auto& [name, values] : given) bytes += name.size() + values.size();
  if (bytes > kMaxWarmTextBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("keys: more than ", kMaxWarmTextBytes, " bytes of text; use templates"));
  }
  std::map<std::string, Part> parts;
  for (const auto& [name, text] : given) {
    const auto values = ParseValues(text);
    if (!values.ok()) return Located(absl::StrCat("parts.", name), values.status());
    parts[name].values = *values;
  }
  KeyList keys;
  uint64_t total = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::string where = absl::StrCat("keys[", i, "]");
    absl::StatusOr<Template> pieces = ParseText(texts[i], &parts);
    if (!pieces.ok()) return Located(where, pieces.status());
    const absl::StatusOr<uint64_t> count = Count(texts[i], *pieces);
    if (!count.ok()) return Located(where, count.status());
    total += *count;
    if (total > kMaxWarmKeys) {
      return absl::InvalidArgumentError(
          absl::StrCat("keys: together more than ", kMaxWarmKeys, " keys"));
    }
    keys.templates_.push_back(*std::move(pieces));
    keys.ends_.push_back(total);
  }
  for (const auto& [name, part] : parts) {
    if (!part.used) {
      return absl::InvalidArgumentError(absl::StrCat("parts.", name, ": no key has {", name, "}"));
    }
  }
  return keys;
}

absl::StatusOr<KeyList> KeyList::OfKeys(const std::vector<std::string>& keys) {
  KeyList list;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].empty() || keys[i].size() > limits::kMaxKeyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("keys[", i, "]: is not of 1..", limits::kMaxKeyBytes, " bytes"));
    }
    list.templates_.push_back({{keys[i], nullptr}});
    list.ends_.push_back(i + 1);
  }
  return list;
}

std::string KeyList::At(uint64_t index) const {
  const auto end = std::upper_bound(ends_.begin(), ends_.end(), index);
  const size_t which = static_cast<size_t>(end - ends_.begin());
  uint64_t rest = index - (which == 0 ? 0 : ends_[which - 1]);
  const Template& pieces = templates_[which];
  std::vector<std::string> words(pieces.size());
  for (size_t i = pieces.size(); i-- > 0;) {
    if (pieces[i].values == nullptr) {
      words[i] = pieces[i].text;
      continue;
    }
    const Values& values = *pieces[i].values;
    const uint64_t choice = rest % values.count;
    rest /= values.count;
    if (!values.list.empty()) {
      words[i] = values.list[choice];
      continue;
    }
    const std::string digits = absl::StrCat(values.first + choice);
    if (digits.size() < values.width) words[i].assign(values.width - digits.size(), '0');
    words[i] += digits;
  }
  std::string key;
  for (const std::string& word : words) key += word;
  return key;
}

}  // namespace meridian
