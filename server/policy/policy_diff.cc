#include "server/policy/policy_diff.h"

#include "absl/strings/str_cat.h"
#include "server/policy/policy_fields.h"
#include "server/policy/policy_trial.h"

namespace meridian {
namespace {

std::string Shown(const std::string& text) { return text.empty() ? "none" : text; }

void DiffOne(const std::string& name, const NamespacePolicy& before, const NamespacePolicy& after,
             std::vector<PolicyChange>* changes) {
  if (before == after) return;
  const size_t known = changes->size();
  for (const PolicyField& field : PolicyFields()) {
    std::string was = field.get(before);
    std::string is = field.get(after);
    if (was == is) continue;
    changes->push_back(
        {name, field.path, std::move(was), std::move(is), IsOfWholeNamespace(field.path)});
  }
  // Budgets of several tiers are not fields of the namespace.
  if (changes->size() == known) changes->push_back({name, "tier", "tiers:", "tiers:", true});
}

std::set<std::string, std::less<>> NamesOf(const PolicyTable& one, const PolicyTable& other) {
  std::set<std::string, std::less<>> names;
  for (const PolicyTable* table : {&one, &other}) {
    for (const auto& [name, policy] : table->named()) names.insert(name);
  }
  return names;
}

}  // namespace

std::vector<PolicyChange> DiffPolicies(const PolicyTable& before, const PolicyTable& after) {
  std::vector<PolicyChange> changes;
  for (const std::string& name : NamesOf(before, after)) {
    DiffOne(name, before.Of(name), after.Of(name), &changes);
  }
  DiffOne("*", before.fallback(), after.fallback(), &changes);
  return changes;
}

std::string DiffText(const std::vector<PolicyChange>& changes, size_t max_bytes) {
  std::string text;
  for (size_t i = 0; i < changes.size(); ++i) {
    const PolicyChange& change = changes[i];
    const std::string line =
        absl::StrCat(change.name_space, ".", change.field, ": ", Shown(change.before), " -> ",
                     Shown(change.after), change.whole ? " (when it is in all slots)\n" : "\n");
    if (text.size() + line.size() > max_bytes) {
      absl::StrAppend(&text, "... and ", changes.size() - i, " more\n");
      break;
    }
    text += line;
  }
  return text;
}

ChangedNamespaces::ChangedNamespaces(const PolicyTable& before, const PolicyTable& after) {
  const bool fallback = before.fallback() != after.fallback();
  if (fallback) all_but_.emplace();
  for (const std::string& name : NamesOf(before, after)) {
    const bool changes = before.Of(name) != after.Of(name);
    if (!fallback && changes) named_.insert(name);
    if (fallback && !changes) all_but_->insert(name);
  }
}

}  // namespace meridian
