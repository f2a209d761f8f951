// What differs between two tables of policies, for people.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_DIFF_H_
#define MERIDIAN_SERVER_POLICY_POLICY_DIFF_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/policy/policy_table.h"

namespace meridian {

struct PolicyChange {
  std::string name_space;  // Or "*".
  std::string field;
  std::string before;  // As YAML; empty: nothing.
  std::string after;
  bool whole = false;  // It changes when all slots do: IsOfWholeNamespace.
};

// Sorted by namespace, "*" last. A namespace that one of the tables does not name is compared as
// "*" has it there.
std::vector<PolicyChange> DiffPolicies(const PolicyTable& before, const PolicyTable& after);

// Namespaces (or "*") of which the life of values changes, while what is cached was given one that
// is longer than `hold`, so that a stage of that length shows little of the change. For people, a
// line each.
std::string ShortHoldText(const std::vector<PolicyChange>& changes, const PolicyTable& before,
                          absl::Duration hold);

// "task.ttl: 5m -> 1s", a line each; what is beyond `max_bytes` is counted.
std::string DiffText(const std::vector<PolicyChange>& changes, size_t max_bytes);

// The namespaces that changes are about.
class ChangedNamespaces {
 public:
  // All of them.
  ChangedNamespaces() : all_but_(std::in_place) {}
  ChangedNamespaces(const PolicyTable& before, const PolicyTable& after);

  // Those that change and are named in one of the tables.
  const std::set<std::string, std::less<>>& named() const { return named_; }
  bool Has(std::string_view name_space) const {
    return all_but_.has_value() ? !all_but_->contains(name_space) : named_.contains(name_space);
  }

 private:
  using Names = std::set<std::string, std::less<>>;
  Names named_;
  std::optional<Names> all_but_;  // Set: "*" changes; those do not.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_DIFF_H_
