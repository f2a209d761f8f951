#include "server/policy/policy_diff.h"

#include "absl/strings/str_cat.h"
#include "server/policy/policy_fields.h"
#include "server/policy/policy_trial.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

// Fields by which the life of a value is made.
bool DecidesLives(std::string_view field) {
  const std::string_view group = field.substr(0, field.find('.'));
  return group.substr(0, 3) == "ttl" || group == "volatility";
}

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

std::string ShortHoldText(const std::vector<PolicyChange>& changes, const PolicyTable& before,
                          absl::Duration hold) {
  std::string text;
  std::string_view told;
  for (const PolicyChange& change : changes) {
    if (change.name_space == told || !DecidesLives(change.field)) continue;
    told = change.name_space;
    const absl::Duration ttl =
        told == "*" ? before.fallback().ttl : before.Of(change.name_space).ttl;
    if (ttl <= hold) continue;
    absl::StrAppend(&text, "warning: ", change.name_space, ": a stage of ", DurationText(hold),
                    " is shorter than the ttl so far, ", DurationText(ttl),
                    ": what is cached keeps its life, so that guards see little of the new one\n");
  }
  return text;
}

ChangedNamespaces::ChangedNamespaces(const PolicyTable& before, const PolicyTable& after) {
  const bool fallback = before.fallback() != after.fallback();
  if (fallback) all_but_.emplace();
  for (const std::string& name : NamesOf(before, after)) {
    const bool changes = before.Of(name) != after.Of(name);
    if (changes) named_.insert(name);
    if (fallback && !changes) all_but_->insert(name);
  }
}

}  // namespace meridian
