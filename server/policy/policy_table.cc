#include "server/policy/policy_table.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "common/engine/entry.h"
#include "server/policy/policy_draft.h"
#include "server/policy/policy_fields.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"

namespace meridian {
namespace {

// Reads one file's sections; every error begins with "file:line: path: ".
class Reader {
 public:
  explicit Reader(const std::string& file) : file_(file) {}

  absl::Status Error(int line, const std::string& path, const std::string& what) const {
    return absl::InvalidArgumentError(absl::StrCat(file_, ":", line, ": ", path, ": ", what));
  }
  static int LineOf(const YAML::Node& node) { return node.Mark().line + 1; }

  absl::Status ReadTiers(const YAML::Node& node, HeatTiers* tiers) const;
  absl::Status ReadDraft(const std::string& path, const YAML::Node& node, PolicyDraft* draft) const;
  // The plain words that are the keys of a map, each once.
  absl::Status CheckKeys(const std::string& path, const YAML::Node& node) const;

 private:
  absl::Status ReadFields(const std::string& root, const std::string& group, const YAML::Node& node,
                          PolicyDraft* draft) const;
  absl::Status ReadField(const PolicyField& field, const std::string& path, const YAML::Node& value,
                         PolicyDraft* draft, bool* read) const;
  absl::Status ReadTier(const std::string& path, const YAML::Node& node, HeatTier* tier) const;
  absl::Status Unknown(int line, const std::string& path, const std::string& name,
                       const std::vector<std::string>& known) const {
    return Error(line, path,
                 absl::StrCat("unknown; did you mean ", NearestOf(name, known),
                              "? Known: ", absl::StrJoin(known, ", ")));
  }

  const std::string& file_;
};

absl::Status Reader::CheckKeys(const std::string& path, const YAML::Node& node) const {
  std::set<std::string> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) {
      return Error(LineOf(item.first), path, "a key must be a plain word");
    }
    if (!seen.insert(item.first.Scalar()).second) {
      return Error(LineOf(item.first), absl::StrCat(path, ".", item.first.Scalar()), "given twice");
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadField(const PolicyField& field, const std::string& path,
                               const YAML::Node& value, PolicyDraft* draft, bool* read) const {
  *read = true;
  switch (field.kind()) {
    case FieldKind::kValue:
      if (!value.IsScalar()) break;
      return field.set(value.Scalar(), draft);
    case FieldKind::kList: {
      PolicyField::Texts texts;
      if (value.IsScalar()) texts.push_back(value.Scalar());
      for (const auto& element : value) {
        if (!value.IsSequence() || !element.IsScalar()) {
          return absl::InvalidArgumentError("must be a list of plain words");
        }
        texts.push_back(element.Scalar());
      }
      if (!value.IsScalar() && !value.IsSequence()) break;
      return field.set_list(texts, draft);
    }
    case FieldKind::kMap: {
      if (!value.IsMap()) break;
      RETURN_IF_ERROR(CheckKeys(path, value));
      PolicyField::Pairs pairs;
      for (const auto& item : value) {
        if (!item.second.IsScalar()) {
          return absl::InvalidArgumentError(
              absl::StrCat(QuoteKey(item.first.Scalar()), " must have one value"));
        }
        pairs.emplace_back(item.first.Scalar(), item.second.Scalar());
      }
      return field.set_map(pairs, draft);
    }
  }
  *read = false;
  return absl::OkStatus();
}

absl::Status Reader::ReadFields(const std::string& root, const std::string& group,
                                const YAML::Node& node, PolicyDraft* draft) const {
  RETURN_IF_ERROR(CheckKeys(group.empty() ? root : absl::StrCat(root, ".", group), node));
  for (const auto& item : node) {
    const std::string name =
        group.empty() ? item.first.Scalar() : absl::StrCat(group, ".", item.first.Scalar());
    const std::string path = absl::StrCat(root, ".", name);
    const int line = LineOf(item.first);
    draft->lines[name] = line;
    if (group.empty() && IsPolicyGroup(name)) {
      if (!item.second.IsMap()) return Error(line, path, "must be a map of fields");
      // A group that is given is on, unless it says otherwise.
      const PolicyField* enabled = FindPolicyField(name + ".enabled");
      if (enabled != nullptr) RETURN_IF_ERROR(enabled->set("true", draft));
      RETURN_IF_ERROR(ReadFields(root, name, item.second, draft));
      continue;
    }
    const PolicyField* field = FindPolicyField(name);
    if (field == nullptr) {
      std::vector<std::string> known;
      for (const PolicyField& each : PolicyFields()) {
        const size_t dot = each.path.find('.');
        const std::string head = each.path.substr(0, dot);
        const std::string word = group.empty() ? head : each.path.substr(dot + 1);
        if ((group.empty() || head == group) && (known.empty() || known.back() != word)) {
          known.push_back(word);
        }
      }
      return Unknown(line, path, item.first.Scalar(), known);
    }
    bool read = false;
    const absl::Status status = ReadField(*field, path, item.second, draft, &read);
    if (!status.ok()) return Error(line, path, std::string(status.message()));
    if (!read) {
      return Error(line, path,
                   field->kind() == FieldKind::kValue  ? "must be one value"
                   : field->kind() == FieldKind::kList ? "must be a word or a list"
                                                       : "must be a map");
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadDraft(const std::string& path, const YAML::Node& node,
                               PolicyDraft* draft) const {
  return ReadFields(path, "", node, draft);
}

absl::Status Reader::ReadTier(const std::string& path, const YAML::Node& node,
                              HeatTier* tier) const {
  RETURN_IF_ERROR(CheckKeys(path, node));
  for (const auto& item : node) {
    const std::string name = item.first.Scalar();
    const std::string field = absl::StrCat(path, ".", name);
    const int line = LineOf(item.first);
    if (!item.second.IsScalar()) return Error(line, field, "must be one value");
    const std::string text = item.second.Scalar();
    absl::Status status;
    // The fields that a tier shares with a namespace are read, and refused, as there.
    PolicyDraft draft;
    if (name == "ttl_min" || name == "ttl_max" || name == "eviction" || name == "max_bytes" ||
        name == "max_entries") {
      status = FindPolicyField(name)->set(text, &draft);
    } else if (name == "promote_hits") {
      const absl::StatusOr<uint64_t> hits = ParseInteger(text, 0, kMaxEntryHits);
      status = hits.status();
      if (hits.ok()) tier->promote_hits = static_cast<uint32_t>(*hits);
    } else {
      return Unknown(
          line, field, name,
          {"ttl_min", "ttl_max", "max_bytes", "max_entries", "eviction", "promote_hits"});
    }
    if (!status.ok()) return Error(line, field, std::string(status.message()));
    if (name == "ttl_min") tier->ttl_min = draft.policy.ttl_min;
    if (name == "ttl_max") tier->ttl_max = draft.policy.ttl_max;
    if (name == "eviction") tier->eviction = *draft.eviction;
    if (name == "max_bytes") tier->max_bytes = *draft.max_bytes;
    if (name == "max_entries") tier->max_entries = *draft.max_entries;
  }
  if (tier->ttl_min > tier->ttl_max) {
    return Error(LineOf(node), path,
                 absl::StrCat("ttl_min ", DurationText(tier->ttl_min), " is longer than ttl_max ",
                              DurationText(tier->ttl_max)));
  }
  return absl::OkStatus();
}

absl::Status Reader::ReadTiers(const YAML::Node& node, HeatTiers* tiers) const {
  if (!node.IsMap()) return Error(LineOf(node), "tiers", "must be a map of hot, warm and cold");
  RETURN_IF_ERROR(CheckKeys("tiers", node));
  for (const auto& item : node) {
    const std::string name = item.first.Scalar();
    const std::string path = "tiers." + name;
    const int index = TierIndex(name);
    if (index < 0) return Unknown(LineOf(item.first), path, name, {"hot", "warm", "cold"});
    if (!item.second.IsMap()) return Error(LineOf(item.first), path, "must be a map of fields");
    RETURN_IF_ERROR(ReadTier(path, item.second, &(*tiers)[index]));
  }
  for (size_t i = 1; i < tiers->size(); ++i) {
    const HeatTier& hotter = (*tiers)[i - 1];
    const HeatTier& colder = (*tiers)[i];
    if (hotter.ttl_max > colder.ttl_max) {
      return Error(
          LineOf(node), "tiers",
          absl::StrCat(hotter.name, ".ttl_max ", DurationText(hotter.ttl_max), " is longer than ",
                       colder.name, ".ttl_max ", DurationText(colder.ttl_max),
                       ": what lives longer belongs colder"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const NamespacePolicy& PolicyTable::Of(std::string_view name_space) const {
  const auto it = named_.find(name_space);
  return it == named_.end() ? fallback_ : it->second;
}

absl::StatusOr<PolicyTable> PolicyTable::Read(const std::string& file, const YAML::Node* tiers,
                                              const YAML::Node* namespaces) {
  const Reader reader(file);
  PolicyTable table;
  if (tiers != nullptr) RETURN_IF_ERROR(reader.ReadTiers(*tiers, &table.tiers_));
  if (namespaces == nullptr) return table;
  if (!namespaces->IsMap()) {
    return reader.Error(Reader::LineOf(*namespaces), "namespaces",
                        "must be a map of namespace to policy");
  }
  RETURN_IF_ERROR(reader.CheckKeys("namespaces", *namespaces));
  size_t pools = 0;
  for (const auto& item : *namespaces) {
    const std::string name = item.first.Scalar();
    const std::string path = "namespaces." + name;
    const int line = Reader::LineOf(item.first);
    if (const absl::Status status = CheckName(name); name != "*" && !status.ok()) {
      return reader.Error(line, "namespaces", absl::StrCat(status.message(), " or \"*\""));
    }
    if (!item.second.IsMap()) return reader.Error(line, path, "must be a map");
    PolicyDraft draft;
    RETURN_IF_ERROR(reader.ReadDraft(path, item.second, &draft));
    NamespacePolicy policy;
    PolicyProblem problem;
    if (!FinishPolicy(draft, table.tiers_, &policy, &problem)) {
      const auto at = draft.lines.find(problem.field);
      return reader.Error(at == draft.lines.end() ? line : at->second,
                          problem.field.empty() ? path : absl::StrCat(path, ".", problem.field),
                          problem.what);
    }
    pools += policy.pools.size();
    if (pools > kMaxPoolsInAll) {
      return reader.Error(
          line, path,
          absl::StrCat("the namespaces up to here have ", pools, " budgets in L1; at most ",
                       kMaxPoolsInAll, " are possible: a tier is a budget of each namespace in it; let some have none"));
    }
    (name == "*" ? table.fallback_ : table.named_[name]) = std::move(policy);
  }
  return table;
}

absl::StatusOr<PolicyTable> PolicyTable::ReadFile(const std::string& file, const std::string& text,
                                                  FileKind kind) {
  ASSIGN_OR_RETURN(const YAML::Node root, LoadYaml(file, text));
  if (root.IsNull()) return PolicyTable();
  const Reader reader(file);
  if (!root.IsMap()) return reader.Error(Reader::LineOf(root), "file", "must be a map of sections");
  RETURN_IF_ERROR(reader.CheckKeys("file", root));
  YAML::Node tiers;
  YAML::Node namespaces;
  bool has_tiers = false;
  bool has_namespaces = false;
  for (const auto& item : root) {
    const std::string key = item.first.Scalar();
    // Of a section without a value yaml-cpp knows only where the next one begins.
    if ((key == "tiers" || key == "namespaces") && item.second.IsNull()) {
      return reader.Error(Reader::LineOf(item.first), key, "is empty; for none, write {}");
    }
    if (key == "tiers") {
      tiers.reset(item.second);
      has_tiers = true;
    } else if (key == "namespaces") {
      namespaces.reset(item.second);
      has_namespaces = true;
    } else if (kind == FileKind::kPolicies) {
      return reader.Error(Reader::LineOf(item.first), key,
                          "unknown; a policy file has the sections tiers and namespaces");
    }
  }
  return Read(file, has_tiers ? &tiers : nullptr, has_namespaces ? &namespaces : nullptr);
}

absl::Status PolicyTable::ReadText(const std::string& file, const std::string& text) {
  ASSIGN_OR_RETURN(const YAML::Node node, LoadYaml(file, text));
  ASSIGN_OR_RETURN(*this, Read(file, nullptr, &node));
  return absl::OkStatus();
}

}  // namespace meridian
