#include "server/policy/namespace_policy.h"

#include <yaml-cpp/yaml.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

absl::StatusOr<absl::Duration> ParseTtl(std::string_view text, absl::Duration low) {
  ASSIGN_OR_RETURN(const absl::Duration ttl, ParseDuration(text));
  if (ttl < low || ttl > absl::Hours(24 * 365)) {
    return absl::InvalidArgumentError(absl::StrCat(ToAbsl(QuoteKey(text)), " is not from ",
                                                   absl::FormatDuration(low), " to 365d"));
  }
  return ttl;
}

absl::Status SetField(const std::string& field, const std::string& text, NamespacePolicy* policy) {
  if (field == "ttl") {
    ASSIGN_OR_RETURN(policy->ttl, ParseTtl(text, absl::Milliseconds(1)));
  } else if (field == "l1_ttl") {
    ASSIGN_OR_RETURN(policy->l1_ttl, ParseTtl(text, absl::ZeroDuration()));
  } else if (field == "replication") {
    if (text == "local") {
      policy->replication = ReplicationMode::kLocal;
    } else if (text == "async") {
      policy->replication = ReplicationMode::kAsync;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat(ToAbsl(QuoteKey(text)), " is not local or async"));
    }
  } else {
    return absl::InvalidArgumentError("unknown; the fields are ttl, l1_ttl, replication");
  }
  return absl::OkStatus();
}

}  // namespace

std::string NamespacePolicy::ToYaml() const {
  return absl::StrCat("ttl: ", absl::FormatDuration(ttl), "\nl1_ttl: ", absl::FormatDuration(l1_ttl),
                      "\nreplication: ",
                      replication == ReplicationMode::kLocal ? "local" : "async", "\n");
}

const NamespacePolicy& PolicyTable::Of(std::string_view name_space) const {
  const auto it = named_.find(name_space);
  return it == named_.end() ? fallback_ : it->second;
}

absl::Status PolicyTable::ReadYaml(const std::string& file, const YAML::Node& node) {
  const auto error = [&file](const YAML::Node& at, const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", at.Mark().line + 1, ": ", what));
  };
  if (!node.IsMap()) return error(node, "namespaces: must be a map of namespace to policy");
  std::set<std::string> seen;
  for (const auto& item : node) {
    const std::string name = item.first.as<std::string>();
    if (name != "*" && !IsName(name)) {
      return error(item.first, absl::StrCat("namespaces: ", ToAbsl(QuoteKey(name)),
                                            " is not [a-z0-9_.-]{1,64} or \"*\""));
    }
    if (!item.second.IsMap()) return error(item.first, "namespaces." + name + ": must be a map");
    if (!seen.insert(name).second) {
      return error(item.first, "namespaces." + name + ": given twice");
    }
    NamespacePolicy policy;
    std::set<std::string> seen_fields;
    for (const auto& field : item.second) {
      const std::string field_name = field.first.as<std::string>();
      const std::string path = absl::StrCat("namespaces.", name, ".", field_name);
      if (!field.second.IsScalar()) return error(field.first, path + ": must be one value");
      if (!seen_fields.insert(field_name).second) return error(field.first, path + ": given twice");
      const absl::Status status = SetField(field_name, field.second.Scalar(), &policy);
      if (!status.ok()) return error(field.first, path + ": " + std::string(status.message()));
    }
    (name == "*" ? fallback_ : named_[name]) = policy;
  }
  return absl::OkStatus();
}

absl::Status PolicyTable::ReadText(const std::string& file, const std::string& text) {
  try {
    return ReadYaml(file, YAML::Load(text));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace meridian
