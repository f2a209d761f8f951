#include "client/cpp/check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/rpc/reasons.h"

namespace meridian {
namespace {

constexpr size_t kMaxNamespaceBytes = 64;

bool IsNamespaceChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

std::shared_ptr<const ResultError> Invalid(const char* reason, std::string message,
                                           std::string_view field) {
  auto error = std::make_shared<ResultError>();
  error->code = absl::StatusCode::kInvalidArgument;
  error->reason = reason;
  error->message = std::move(message);
  error->field = std::string(field);
  return error;
}

std::shared_ptr<const ResultError> CheckText(std::string_view text, const char* reason,
                                             std::string_view what, std::string_view field) {
  if (IsUtf8(text)) return nullptr;
  return Invalid(reason, absl::StrCat(ToAbsl(what), " ", QuoteKey(text), " is not UTF-8"), field);
}

}  // namespace

bool IsUtf8(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
    const unsigned char first = byte(0);
    const size_t length = first < 0x80                    ? 1
                          : first >= 0xC2 && first < 0xE0 ? 2
                          : first >= 0xE0 && first < 0xF0 ? 3
                          : first >= 0xF0 && first < 0xF5 ? 4
                                                          : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((byte(k) & 0xC0) != 0x80) return false;
    }
    // Overlong forms, surrogates, and what lies beyond U+10FFFF.
    if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
        (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) {
      return false;
    }
    i += length;
  }
  return true;
}

std::shared_ptr<const ResultError> CheckNamespace(std::string_view name_space) {
  if (!name_space.empty() && name_space.size() <= kMaxNamespaceBytes &&
      std::all_of(name_space.begin(), name_space.end(), IsNamespaceChar)) {
    return nullptr;
  }
  return Invalid(reason::kNamespaceInvalid,
                 absl::StrCat("namespace ", QuoteKey(name_space), " is not [a-z0-9_.-]{1,64}"),
                 "namespace");
}

std::shared_ptr<const ResultError> CheckTag(std::string_view tag, std::string_view field) {
  return CheckText(tag, reason::kTagInvalid, "tag", field);
}

std::shared_ptr<const ResultError> CheckCall(std::string_view name_space,
                                             const CallOptions& options) {
  if (auto error = CheckNamespace(name_space)) return error;
  return CheckText(options.request_id, reason::kFieldInvalid, "request id", "header.request_id");
}

std::shared_ptr<const ResultError> CheckItem(const SetItem& item) {
  for (size_t i = 0; i < item.tags.size(); ++i) {
    if (IsUtf8(item.tags[i])) continue;
    return CheckTag(item.tags[i], absl::StrCat("tags[", i, "]"));
  }
  for (size_t i = 0; i < item.depends_on.size(); ++i) {
    const std::string field = absl::StrCat("depends_on[", i, "]");
    if (auto wrong =
            CheckText(item.depends_on[i], reason::kDependencyInvalid, "dependency", field)) {
      return wrong;
    }
  }
  return CheckText(item.state_hint, reason::kFieldInvalid, "state hint", "state_hint");
}

}  // namespace meridian
