// The fields of a namespace's policy: one table that parsing, printing and docs/config.md go by.
//
// Thread safety: the table is immutable.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_FIELDS_H_
#define MERIDIAN_SERVER_POLICY_POLICY_FIELDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/policy/namespace_policy.h"

namespace meridian {

// What a file says of one namespace, before what it does not say is filled in.
struct PolicyDraft {
  NamespacePolicy policy;
  std::vector<std::string> tiers;
  std::optional<uint64_t> max_bytes;
  std::optional<uint64_t> max_entries;
  std::optional<std::string> eviction;
  std::map<std::string, int, std::less<>> lines;  // Field, or group -> its line; only given ones.

  bool has(std::string_view field) const { return lines.find(field) != lines.end(); }
};

enum class FieldKind : uint8_t {
  kValue,  // One value.
  kList,   // A sequence, or one value.
  kMap,    // Name -> value.
};

struct PolicyField {
  using Texts = std::vector<std::string>;
  using Pairs = std::vector<std::pair<std::string, std::string>>;

  std::string path;          // "adaptive_ttl.boost_hits".
  std::string default_text;  // As in the documentation.
  std::string range;
  std::string meaning;
  std::string requirement;  // Ids of requirements.md; empty: none.
  // Exactly one is set. Errors show the value and the rule.
  absl::Status (*set)(const std::string& text, PolicyDraft* draft) = nullptr;
  absl::Status (*set_list)(const Texts& texts, PolicyDraft* draft) = nullptr;
  absl::Status (*set_map)(const Pairs& pairs, PolicyDraft* draft) = nullptr;
  // As YAML; empty: nothing to say (a field that is off).
  std::string (*get)(const NamespacePolicy& policy) = nullptr;

  FieldKind kind() const {
    return set != nullptr        ? FieldKind::kValue
           : set_list != nullptr ? FieldKind::kList
                                 : FieldKind::kMap;
  }
};

const std::vector<PolicyField>& PolicyFields();

// nullptr: unknown.
const PolicyField* FindPolicyField(std::string_view path);

// True when fields are below `path`: "adaptive_ttl".
bool IsPolicyGroup(std::string_view path);

// The rows of docs/config.md.
std::string PolicyMarkdownTable();

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_FIELDS_H_
