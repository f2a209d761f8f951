// How the table of policy fields reads and writes single values: for the files that hold its rows.
//
// Errors show the value and the rule. Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_POLICY_FIELD_VALUES_H_
#define MERIDIAN_SERVER_POLICY_FIELD_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/policy_fields.h"
#include "server/policy/text.h"

namespace meridian {

inline constexpr absl::Duration kShortest = absl::Milliseconds(1);
inline constexpr absl::Duration kLongest = absl::Hours(24 * 365);

inline absl::Status Bad(const std::string& text, const std::string& rule) {
  return absl::InvalidArgumentError(absl::StrCat(QuoteKey(text), " is not ", rule));
}

inline absl::Status ReadDuration(const std::string& text, absl::Duration low,
                                 absl::Duration* target) {
  ASSIGN_OR_RETURN(*target, ParseDuration(text));
  if (*target < low || *target > kLongest) {
    return Bad(text, absl::StrCat("from ", DurationText(low), " to 365d"));
  }
  return absl::OkStatus();
}

// Of what callers wait for.
inline absl::Status ReadShort(const std::string& text, absl::Duration low, absl::Duration* target) {
  ASSIGN_OR_RETURN(*target, ParseDuration(text));
  if (*target < low || *target > absl::Minutes(1)) {
    return Bad(text, absl::StrCat("from ", DurationText(low), " to 1m"));
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status ReadCount(const std::string& text, uint64_t low, uint64_t high, T* target) {
  ASSIGN_OR_RETURN(const uint64_t value, ParseInteger(text, low, high));
  *target = static_cast<T>(value);
  return absl::OkStatus();
}

inline absl::Status ReadNumber(const std::string& text, double low, double high, double* target) {
  ASSIGN_OR_RETURN(*target, ParseNumber(text, low, high));
  return absl::OkStatus();
}

inline absl::Status ReadBool(const std::string& text, bool* target) {
  ASSIGN_OR_RETURN(*target, ParseBool(text));
  return absl::OkStatus();
}

template <typename T>
struct Word {
  const char* text;
  T value;
};

template <typename T, size_t N>
absl::Status ReadWord(const std::string& text, const Word<T> (&words)[N], T* target) {
  std::string known;
  for (const Word<T>& word : words) {
    if (text == word.text) {
      *target = word.value;
      return absl::OkStatus();
    }
    absl::StrAppend(&known, known.empty() ? "" : ", ", word.text);
  }
  return Bad(text, absl::StrCat("one of ", known));
}

template <typename T, size_t N>
std::string WordOf(T value, const Word<T> (&words)[N]) {
  for (const Word<T>& word : words) {
    if (word.value == value) return word.text;
  }
  return "?";
}

inline std::string BoolText(bool value) { return value ? "true" : "false"; }

inline std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted.push_back('\\');
    quoted.push_back(c);
  }
  return quoted + "\"";
}

inline std::string QuotedUnlessEmpty(const std::string& text) {
  return text.empty() ? "" : Quoted(text);
}

// A setter of one value: `read` with `text` and `policy` in sight.
#define MERIDIAN_SET(read)                                    \
  [](const std::string& text, PolicyDraft* draft) {           \
    [[maybe_unused]] NamespacePolicy& policy = draft->policy; \
    return read;                                              \
  }
#define MERIDIAN_GET(text) [](const NamespacePolicy& policy) -> std::string { return text; }

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_FIELD_VALUES_H_
