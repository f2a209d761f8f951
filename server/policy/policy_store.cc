#include "server/policy/policy_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"

namespace meridian {

PolicyStore::PolicyStore(PolicyStoreOptions options, Executor& executor, const Clock& clock,
                         Apply apply, Report report)
    : options_(std::move(options)),
      executor_(executor),
      clock_(clock),
      apply_(std::move(apply)),
      report_(std::move(report)),
      seen_text_(options_.text),
      says_nothing_(SaysNothing(options_.text)) {
  status_.file = options_.file;
  status_.loaded_at = clock_.Now();
}

void PolicyStore::Start() {
  executor_.PostAfter(options_.poll, [this] { Poll(); });
}

void PolicyStore::Poll() {
  ReadNow(/*asked=*/false);
  executor_.PostAfter(options_.poll, [this] { Poll(); });
}

void PolicyStore::Reload() {
  executor_.Post([this] { ReadNow(/*asked=*/true); });
}

void PolicyStore::ReadNow(bool asked) {
  absl::StatusOr<std::string> text = ReadSmallFile(options_.file);
  const std::string error = text.ok() ? "" : std::string(text.status().message());
  const bool changed = text.ok() ? seen_text_ != *text : seen_error_ != error;
  if (!changed && !asked) return;
  seen_error_ = error;
  seen_text_ = text.ok() ? std::optional<std::string>(*text) : std::nullopt;
  const bool says_nothing = text.ok() && SaysNothing(*text);
  if (says_nothing && !says_nothing_) {
    text = absl::InvalidArgumentError(
        absl::StrCat(options_.file,
                     ":1: the file says nothing, as when it is being written; for no policies, "
                     "write `namespaces: {}`"));
  }
  absl::StatusOr<PolicyTable> table =
      text.ok() ? PolicyTable::ReadFile(options_.file, *text, options_.kind)
                : absl::StatusOr<PolicyTable>(text.status());
  if (table.ok()) says_nothing_ = says_nothing;
  if (table.ok()) apply_(std::make_shared<const PolicyTable>(*std::move(table)));
  PolicyStoreStatus status;
  {
    absl::MutexLock lock(&mu_);
    if (table.ok()) {
      ++status_.reloads;
      status_.loaded_at = clock_.Now();
      status_.problem.clear();
    } else {
      ++status_.failed_reloads;
      status_.problem = std::string(table.status().message());
    }
    status = status_;
  }
  report_(status);
}

PolicyStoreStatus PolicyStore::Status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

}  // namespace meridian
