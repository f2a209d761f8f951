// NamespacePolicy is how one data type is cached. PolicyTable holds those of all namespaces.
//
// Thread safety: values; a published table (shared_ptr<const PolicyTable>) is immutable.

#ifndef MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_
#define MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace YAML {
class Node;
}

namespace meridian {

enum class ReplicationMode {
  kLocal,  // Stays in its region.
  kAsync,  // Goes to every other region; the writer does not wait.
};

struct NamespacePolicy {
  absl::Duration ttl = absl::Hours(1);      // For writes that give none. 1 ms .. 1 year.
  absl::Duration l1_ttl = absl::ZeroDuration();  // At most this long in L1; 0: as long as in L2.
  ReplicationMode replication = ReplicationMode::kAsync;

  // As YAML, one "field: value" a line.
  std::string ToYaml() const;
};

class PolicyTable {
 public:
  // The policy of a namespace: its own, or that of "*".
  const NamespacePolicy& Of(std::string_view name_space) const;

  // Reads the section `namespaces:` of a configuration file: a map of namespace (or "*") to fields.
  // Returns kInvalidArgument with file, line, namespace and field.
  absl::Status ReadYaml(const std::string& file, const YAML::Node& node);

  // As ReadYaml, of the section's text.
  absl::Status ReadText(const std::string& file, const std::string& text);

  // Sorted by name, without "*".
  const std::map<std::string, NamespacePolicy, std::less<>>& named() const { return named_; }
  const NamespacePolicy& fallback() const { return fallback_; }

 private:
  std::map<std::string, NamespacePolicy, std::less<>> named_;
  NamespacePolicy fallback_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_NAMESPACE_POLICY_H_
