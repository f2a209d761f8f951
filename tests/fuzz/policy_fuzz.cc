// Whatever stands in a file of policies, it is refused with the name of the file, or read: as
// policies that have a life, and that are the same when what is printed of them is read again.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/policy/policy_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using meridian::NamespacePolicy;
  using meridian::PolicyTable;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<PolicyTable> table =
      PolicyTable::ReadFile("f.yaml", text, PolicyTable::FileKind::kPolicies);
  if (!table.ok()) {
    if (table.status().code() != absl::StatusCode::kInvalidArgument) std::abort();
    if (!std::string(table.status().message()).starts_with("f.yaml:")) std::abort();
    return 0;
  }
  for (const auto& [name, policy] : table->named()) {
    if (policy.ttl <= absl::ZeroDuration()) std::abort();
    std::string printed = absl::StrCat("namespaces:\n  \"", name, "\":\n");
    for (const absl::string_view line : absl::StrSplit(policy.ToYaml(), '\n')) {
      absl::StrAppend(&printed, "    ", line, "\n");
    }
    const absl::StatusOr<PolicyTable> again =
        PolicyTable::ReadFile("g.yaml", printed, PolicyTable::FileKind::kPolicies);
    if (!again.ok()) std::abort();
    NamespacePolicy expected = policy;
    NamespacePolicy found = again->Of(name);
    // The budgets of tiers stand elsewhere in the file.
    if (absl::StrContains(printed, "tier: ")) expected.pools = found.pools;
    if (found != expected) std::abort();
  }
  return 0;
}
