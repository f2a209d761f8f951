// PolicyTable is the policies of all namespaces, and the tiers that they name.
//
// It is read from a YAML file with the sections `tiers:` and `namespaces:` (docs/policies.md). What
// a namespace does not say comes from the tiers that it names, else from the defaults; bounds that
// a tier gives are widened to what the namespace says itself. Nothing is taken from "*".
// Thread safety: values; a published table (shared_ptr<const PolicyTable>) is immutable.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_TABLE_H_
#define MERIDIAN_SERVER_POLICY_POLICY_TABLE_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/policy/heat_tier.h"
#include "server/policy/namespace_policy.h"

namespace YAML {
class Node;
}

namespace meridian {

class PolicyTable {
 public:
  // Pools that the policies of a table may have together; "*" has its pools once, for all others.
  static constexpr size_t kMaxPoolsInAll = 127;

  // The policy of a namespace: its own, or that of "*".
  const NamespacePolicy& Of(std::string_view name_space) const;

  // Gives a namespace (or "*") this policy, unchecked.
  void Set(std::string_view name_space, NamespacePolicy policy) {
    (name_space == "*" ? fallback_ : named_[std::string(name_space)]) = std::move(policy);
  }

  // Reads the two sections; either may be absent (nullptr).
  // Returns kInvalidArgument with file, line, namespace, field, value and rule.
  static absl::StatusOr<PolicyTable> Read(const std::string& file, const YAML::Node* tiers,
                                          const YAML::Node* namespaces);

  // Reads a policy file, which has only these sections; or the two out of a node's configuration.
  enum class FileKind { kPolicies, kNodeConfig };
  static absl::StatusOr<PolicyTable> ReadFile(const std::string& file, const std::string& text,
                                              FileKind kind);

  // As Read, of the text of the section `namespaces:` alone.
  absl::Status ReadText(const std::string& file, const std::string& text);

  // Sorted by name, without "*".
  const std::map<std::string, NamespacePolicy, std::less<>>& named() const { return named_; }
  const NamespacePolicy& fallback() const { return fallback_; }
  const HeatTiers& tiers() const { return tiers_; }

  bool operator==(const PolicyTable&) const = default;

 private:
  std::map<std::string, NamespacePolicy, std::less<>> named_;
  NamespacePolicy fallback_;
  HeatTiers tiers_ = ShippedTiers();
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_TABLE_H_
