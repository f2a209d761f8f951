#include "client/cpp/check.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/base/utf8.h"
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
