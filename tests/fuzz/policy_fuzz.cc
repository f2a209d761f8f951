// Whatever stands in a file of policies, it is read, as policies that can be printed and have a
// life, or refused with the name of the file.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/policy/policy_table.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
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
    if (policy.ttl <= absl::ZeroDuration() || policy.ToYaml().empty()) std::abort();
  }
  return 0;
}
