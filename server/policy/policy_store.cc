#include "server/policy/policy_store.h"

#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace meridian {

PolicyStore::PolicyStore(PolicyStoreOptions options, Executor& executor, const Clock& clock,
                         Apply apply, Report report)
    : options_(std::move(options)),
      file_(
          {.files = {options_.file},
           .texts = {options_.text},
           .nothing = {"for no policies, write `namespaces: {}`"},
           .poll = options_.poll},
          executor, clock,
          [this, apply = std::move(apply)](const std::vector<std::string>& texts) {
            absl::StatusOr<PolicyTable> table =
                PolicyTable::ReadFile(options_.file, texts[0], options_.kind);
            if (table.ok()) apply(std::make_shared<const PolicyTable>(*std::move(table)));
            return table.status();
          },
          [this, report = std::move(report)](const FileFollowerStatus& status) {
            report({status, options_.file});
          }) {}

}  // namespace meridian
