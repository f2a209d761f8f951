#include "server/node/limits.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/strings.h"
#include "common/engine/fence_table.h"
#include "server/node/dependencies.h"
#include "server/node/lease_token.h"
#include "server/node/warm_source_names.h"

namespace meridian::limits {
namespace {

Error Invalid(const char* reason, std::string message, std::string field) {
  Error error{grpc::StatusCode::INVALID_ARGUMENT, reason, std::move(message), {}};
  error.details.field = std::move(field);
  return error;
}

std::string Sub(std::string_view field, std::string_view name) {
  return absl::StrCat(ToAbsl(field), field.empty() ? "" : ".", ToAbsl(name));
}

bool IsNamespaceChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

void AppendName(std::string* text, std::string_view name) { text->append(name); }

std::optional<Error> CheckTags(const cache::v1::SetEntry& entry, std::string_view field) {
  if (entry.tags_size() > kMaxTags) {
    return Invalid(reason::kTooManyTags,
                   absl::StrCat(entry.tags_size(), " tags; at most ", kMaxTags, " are allowed"),
                   Sub(field, "tags"));
  }
  for (int i = 0; i < entry.tags_size(); ++i) {
    if (auto error = CheckTag(entry.tags(i), Sub(field, absl::StrCat("tags[", i, "]")))) {
      return error;
    }
  }
  return std::nullopt;
}

std::optional<Error> CheckDependencies(const cache::v1::SetEntry& entry, std::string_view field) {
  if (entry.depends_on_size() > kMaxDependencies) {
    return Invalid(reason::kDependencyInvalid,
                   absl::StrCat(entry.depends_on_size(), " dependencies; at most ",
                                kMaxDependencies, " are allowed"),
                   Sub(field, "depends_on"));
  }
  for (int i = 0; i < entry.depends_on_size(); ++i) {
    if (auto error =
            CheckDependency(entry.depends_on(i), Sub(field, absl::StrCat("depends_on[", i, "]")))) {
      return error;
    }
  }
  return std::nullopt;
}

// Of an entry that uses its lease otherwise than to store a value.
std::optional<Error> CheckLeaseUse(const cache::v1::SetEntry& entry, std::string_view field) {
  if (!entry.absent() && !entry.give_back()) return std::nullopt;
  const char* const name = entry.absent() ? "absent" : "give_back";
  if (entry.lease().empty()) {
    return Invalid(reason::kConditionInvalid,
                   absl::StrCat(name, " says what becomes of a lease, and there is none"),
                   Sub(field, name));
  }
  if (entry.absent() && entry.give_back()) {
    return Invalid(reason::kConditionInvalid, "absent and give_back exclude each other",
                   Sub(field, "give_back"));
  }
  const char* const more = !entry.value().empty()                             ? "value"
                           : entry.ttl_ms() != 0                              ? "ttl_ms"
                           : !entry.state_hint().empty()                      ? "state_hint"
                           : entry.give_back() && entry.tags_size() > 0       ? "tags"
                           : entry.give_back() && entry.depends_on_size() > 0 ? "depends_on"
                                                                              : nullptr;
  if (more == nullptr) return std::nullopt;
  return Invalid(reason::kFieldInvalid,
                 absl::StrCat("an entry with ", name, " stores no value, and has no ", more),
                 Sub(field, more));
}

}  // namespace

std::optional<Error> CheckNamespace(std::string_view name_space) {
  if (!name_space.empty() && name_space.size() <= kMaxNamespaceBytes &&
      std::all_of(name_space.begin(), name_space.end(), IsNamespaceChar)) {
    return std::nullopt;
  }
  return Invalid(reason::kNamespaceInvalid,
                 absl::StrCat("namespace ", QuoteKey(name_space), " is not [a-z0-9_.-]{1,64}"),
                 "namespace");
}

std::optional<Error> CheckWritableNamespace(std::string_view name_space) {
  if (!IsInternalNamespace(name_space)) return CheckNamespace(name_space);
  return Invalid(reason::kNamespaceReserved,
                 absl::StrCat("only nodes write into the namespace ", ToAbsl(kInternalNamespace),
                              "; take another one"),
                 "namespace");
}

std::optional<Error> CheckOptions(const cache::v1::ReadOptions& options) {
  const std::string& source = options.warm_source();
  if (source.empty()) return std::nullopt;
  if (!IsWarmSource(source)) {
    return Invalid(reason::kFieldInvalid,
                   absl::StrCat("options.warm_source ", QuoteKey(source), " is none of ",
                                absl::StrJoin(kWarmSourceNames, ", ", AppendName)),
                   "options.warm_source");
  }
  if (options.want_lease()) {
    return Invalid(reason::kFieldInvalid,
                   "options.want_lease: a read that warms fills no key and gets no lease",
                   "options.want_lease");
  }
  return std::nullopt;
}

std::optional<Error> CheckKey(std::string_view key, std::string_view field) {
  if (key.empty()) {
    return Invalid(reason::kKeyEmpty, "the key is empty", std::string(field));
  }
  if (key.size() > kMaxKeyBytes) {
    return Invalid(reason::kKeyTooLong,
                   absl::StrCat("a key of ", key.size(), " bytes; at most ", kMaxKeyBytes,
                                " are allowed: ", QuoteKey(key)),
                   std::string(field));
  }
  return std::nullopt;
}

std::optional<Error> CheckTag(std::string_view tag, std::string_view field) {
  if (!tag.empty() && tag.size() <= kMaxTagBytes) return std::nullopt;
  return Invalid(
      reason::kTagInvalid,
      absl::StrCat("a tag of ", tag.size(), " bytes; 1 to ", kMaxTagBytes, " are allowed"),
      std::string(field));
}

std::optional<Error> CheckDependency(std::string_view dependency, std::string_view field) {
  const std::string_view kind = dependency.substr(0, kKeyDependency.size());
  const size_t size = dependency.size() - kind.size();
  if (kind == kKeyDependency && size >= 1 && size <= kMaxKeyBytes) return std::nullopt;
  if (kind == kTagDependency && size >= 1 && size <= kMaxTagBytes) return std::nullopt;
  return Invalid(reason::kDependencyInvalid,
                 absl::StrCat(QuoteKey(dependency), " is not \"key:\" and a key of 1 to ",
                              kMaxKeyBytes, " bytes, or \"tag:\" and a tag of 1 to ", kMaxTagBytes),
                 std::string(field));
}

std::optional<Error> CheckPrefix(std::string_view prefix, std::string_view field) {
  if (auto error = CheckKey(prefix, field)) return error;
  if (FenceTable::PrefixDepth(prefix) != 0) return std::nullopt;
  return Invalid(reason::kPrefixInvalid,
                 absl::StrCat("the prefix ", QuoteKey(prefix), " must end at one of the first ",
                              FenceTable::kMaxPrefixDepth, " ':' of the keys"),
                 std::string(field));
}

std::optional<Error> CheckTtl(uint64_t ttl_ms, std::string_view field) {
  if (ttl_ms <= kMaxTtlMs) return std::nullopt;  // 0: by policy.
  return Invalid(reason::kTtlOutOfRange,
                 absl::StrCat("a TTL of ", ttl_ms, " ms; 1 to ", kMaxTtlMs, " ms are allowed"),
                 std::string(field));
}

std::optional<Error> CheckBatch(size_t entries, size_t bytes, std::string_view field) {
  if (entries == 0) {
    return Invalid(reason::kBatchEmpty, "the batch is empty", std::string(field));
  }
  if (entries > kMaxBatchEntries) {
    return Invalid(reason::kBatchTooLarge,
                   absl::StrCat("a batch of ", entries, " entries; at most ", kMaxBatchEntries,
                                " are allowed: split it"),
                   std::string(field));
  }
  if (bytes > kMaxBatchBytes) {
    return Invalid(reason::kBatchTooLarge,
                   absl::StrCat("a batch of ", bytes, " bytes; at most ", kMaxBatchBytes,
                                " are allowed: split it"),
                   std::string(field));
  }
  return std::nullopt;
}

std::optional<Error> CheckHeader(const cache::v1::RequestHeader& header) {
  if (header.session().size() > kMaxSessionBytes) {
    return Invalid(reason::kFieldInvalid,
                   absl::StrCat("header.session has ", header.session().size(), " bytes; at most ",
                                kMaxSessionBytes, " are allowed"),
                   "header.session");
  }
  if (header.request_id().size() <= kMaxRequestIdBytes) return std::nullopt;
  return Invalid(reason::kRequestIdTooLong,
                 absl::StrCat("a request id of ", header.request_id().size(), " bytes; at most ",
                              kMaxRequestIdBytes, " are allowed"),
                 "header.request_id");
}

std::optional<Error> CheckSetEntry(const cache::v1::SetEntry& entry, std::string_view key,
                                   std::string_view field) {
  if (auto error = CheckKey(key, Sub(field, "key"))) return error;
  if (entry.value().size() > kMaxValueBytes) {
    return Invalid(reason::kValueTooLarge,
                   absl::StrCat("a value of ", entry.value().size(), " bytes; at most ",
                                kMaxValueBytes, " are allowed"),
                   Sub(field, "value"));
  }
  if (auto error = CheckTtl(entry.ttl_ms(), Sub(field, "ttl_ms"))) return error;
  if (auto error = CheckTags(entry, field)) return error;
  if (entry.if_absent() && entry.has_expected_version()) {
    return Invalid(reason::kConditionInvalid, "if_absent and expected_version exclude each other",
                   Sub(field, "expected_version"));
  }
  if (entry.has_expected_version() &&
      (entry.expected_version().hlc() == 0 || entry.expected_version().region() > 0xFFFF)) {
    return Invalid(reason::kConditionInvalid,
                   "expected_version is no version; use if_absent for \"there is none\"",
                   Sub(field, "expected_version"));
  }
  if (entry.state_hint().size() > kMaxStateHintBytes) {
    return Invalid(reason::kFieldInvalid,
                   absl::StrCat("a state hint of ", entry.state_hint().size(), " bytes; at most ",
                                kMaxStateHintBytes, " are allowed"),
                   Sub(field, "state_hint"));
  }
  if (auto error = CheckDependencies(entry, field)) return error;
  if (!entry.lease().empty() && (entry.if_absent() || entry.has_expected_version())) {
    return Invalid(reason::kConditionInvalid,
                   "a lease and a condition exclude each other: a lease is one",
                   Sub(field, "lease"));
  }
  return CheckLeaseUse(entry, field);
}

std::optional<Error> CheckLease(const cache::v1::SetEntry& entry, std::string_view name_space,
                                std::string_view key, absl::Time now, std::string_view field) {
  if (entry.lease().empty() || ParseLeaseToken(entry.lease(), name_space, key, now)) {
    return std::nullopt;
  }
  return Invalid(reason::kLeaseInvalid, "the lease is none that was given for this key",
                 Sub(field, "lease"));
}

}  // namespace meridian::limits
