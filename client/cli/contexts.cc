#include "client/cli/contexts.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/duration_text.h"
#include "client/cli/suggestion.h"
#include "client/cli/text_input.h"
#include "client/cpp/client_options.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

absl::Status Wrong(const std::string& path, const YAML::Node& node, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ":", node.Mark().line + 1, ": ", what));
}

absl::StatusOr<std::string> TextOf(const std::string& path, const YAML::Node& node,
                                   const std::string& field) {
  if (node.IsScalar() && !node.Scalar().empty()) return node.Scalar();
  return Wrong(path, node, absl::StrCat("\"", field, "\" is not a text"));
}

absl::Status CheckAddress(const std::string& path, const YAML::Node& node, const std::string& field,
                          const std::string& address) {
  if (IsHostPort(address)) return absl::OkStatus();
  return Wrong(path, node, absl::StrCat("\"", field, "\" has \"", address, "\", not host:port"));
}

absl::Status ReadTargets(const std::string& path, const YAML::Node& node, Context* context) {
  if (!node.IsSequence() || node.size() == 0) {
    return Wrong(path, node, "\"targets\" is not a list of host:port");
  }
  for (const YAML::Node& target : node) {
    ASSIGN_OR_RETURN(std::string address, TextOf(path, target, "targets"));
    RETURN_IF_ERROR(CheckAddress(path, target, "targets", address));
    context->targets.push_back(std::move(address));
  }
  return absl::OkStatus();
}

// nullptr: it is none of those fields.
std::string* TlsFileOf(const std::string& field, Context* context) {
  if (field == "tls_ca") return &context->tls.authorities;
  if (field == "tls_cert") return &context->tls.certificate;
  return field == "tls_key" ? &context->tls.key : nullptr;
}

absl::Status ReadField(const std::string& path, const std::string& field, const YAML::Node& node,
                       Context* context) {
  if (field == "targets") return ReadTargets(path, node, context);
  ASSIGN_OR_RETURN(const std::string text, TextOf(path, node, field));
  if (field == "admin") {
    context->admin = text;
    return CheckAddress(path, node, field, text);
  }
  if (field == "region") {
    context->region = text;
  } else if (std::string* const file = TlsFileOf(field, context); file != nullptr) {
    *file = (std::filesystem::path(path).parent_path() / text).string();
  } else if (field == "tls_server_name") {
    context->tls.server_name = text;
  } else if (field == "cluster") {
    context->cluster = (std::filesystem::path(path).parent_path() / text).string();
  } else {
    context->timeout = text;
    const std::string problem = PositiveDurationProblem(text);
    if (!problem.empty()) return Wrong(path, node, absl::StrCat("\"timeout\": ", problem));
  }
  return absl::OkStatus();
}

absl::StatusOr<Context> ReadContext(const std::string& path, const std::string& name,
                                    const YAML::Node& node) {
  static const auto& kFields =
      *new std::vector<std::string>{"targets", "admin",    "region",  "cluster",        "timeout",
                                    "tls_ca",  "tls_cert", "tls_key", "tls_server_name"};
  if (!node.IsMap()) return Wrong(path, node, absl::StrCat("context \"", name, "\" is not a map"));
  Context context;
  context.name = name;
  std::set<std::string> seen;
  for (const auto& entry : node) {
    const std::string field = entry.first.Scalar();
    if (std::find(kFields.begin(), kFields.end(), field) == kFields.end()) {
      const std::string near = NearestWord(field, kFields);
      return Wrong(path, entry.first,
                   absl::StrCat("context \"", name, "\" has \"", field, "\"; there are ",
                                absl::StrJoin(kFields, ", "),
                                near.empty() ? "" : absl::StrCat(": did you mean ", near, "?")));
    }
    if (!seen.insert(field).second) {
      return Wrong(path, entry.first, absl::StrCat("\"", field, "\" is there twice"));
    }
    RETURN_IF_ERROR(ReadField(path, field, entry.second, &context));
  }
  if (context.targets.empty() && context.cluster.empty() && context.admin.empty()) {
    return Wrong(path, node,
                 absl::StrCat("context \"", name, "\" names no targets, no cluster and no admin"));
  }
  return context;
}

absl::StatusOr<ContextsFile> Read(std::string path, const YAML::Node& document) {
  ContextsFile file;
  file.path = std::move(path);
  if (document.IsNull()) return file;
  if (!document.IsMap()) return Wrong(file.path, document, "is not a map");
  std::set<std::string> seen;
  for (const auto& entry : document) {
    const std::string field = entry.first.Scalar();
    if (!seen.insert(field).second) {
      return Wrong(file.path, entry.first, absl::StrCat("\"", field, "\" is there twice"));
    }
    if (field == "current") {
      ASSIGN_OR_RETURN(file.current, TextOf(file.path, entry.second, field));
    } else if (field == "contexts") {
      if (!entry.second.IsMap()) {
        return Wrong(file.path, entry.second, "\"contexts\" is not a map of name to context");
      }
      std::set<std::string> names;
      for (const auto& context : entry.second) {
        const std::string name = context.first.Scalar();
        if (!names.insert(name).second) {
          return Wrong(file.path, context.first, absl::StrCat("\"", name, "\" is there twice"));
        }
        ASSIGN_OR_RETURN(Context read, ReadContext(file.path, name, context.second));
        file.contexts.push_back(std::move(read));
      }
    } else {
      return Wrong(file.path, entry.first,
                   absl::StrCat("\"", field, "\" is not known; there are current and contexts"));
    }
  }
  return file;
}

}  // namespace

absl::StatusOr<Context> ContextsFile::Find(std::string_view name) const {
  std::vector<std::string> names;
  for (const Context& context : contexts) {
    if (context.name == name) return context;
    names.push_back(context.name);
  }
  return absl::NotFoundError(absl::StrCat("no context \"", ToAbsl(name), "\" in ", path,
                                          "; there are ",
                                          names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

absl::StatusOr<Context> ContextsFile::Current() const {
  absl::StatusOr<Context> found = Find(current);
  if (found.ok()) return found;
  return absl::NotFoundError(absl::StrCat("\"current\": ", std::string(found.status().message()),
                                          ": meridianctl context use NAME"));
}

std::string ContextsPath() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  if (std::string path = variable("MERIDIAN_CONTEXTS"); !path.empty()) return path;
  if (const std::string config = variable("XDG_CONFIG_HOME"); !config.empty()) {
    return config + "/meridian/contexts.yaml";
  }
  const std::string home = variable("HOME");
  return home.empty() ? "" : home + "/.config/meridian/contexts.yaml";
}

absl::StatusOr<ContextsFile> ParseContexts(std::string path, const std::string& text) {
  try {  // yaml-cpp throws; we do not.
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": has a second document"));
    }
    return Read(path, documents.empty() ? YAML::Node() : documents.front());
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ":", error.mark.line + 1, ": ", error.msg));
  }
}

absl::StatusOr<ContextsFile> LoadContexts(const std::string& path) {
  if (path.empty()) return absl::NotFoundError("cannot read contexts.yaml: there is no HOME");
  absl::StatusOr<std::string> text = ReadWholeFile(path);
  if (!text.ok()) return text.status();
  return ParseContexts(path, *text);
}

std::string WithCurrent(const std::string& text, std::string_view name) {
  const std::string line = absl::StrCat("current: \"", ToAbsl(name), "\"");
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& old : lines) {
    if (!absl::StartsWith(old, "current:")) continue;
    const size_t comment = old.find(" #");
    old = comment == std::string::npos ? line
                                       : line + old.substr(old.find_last_not_of(' ', comment) + 1);
    return absl::StrJoin(lines, "\n");
  }
  return absl::StrCat(line, "\n", text);
}

absl::Status UseContext(const std::string& path, std::string_view name) {
  ASSIGN_OR_RETURN(const ContextsFile file, LoadContexts(path));
  RETURN_IF_ERROR(file.Find(name).status());
  std::ostringstream old;
  old << std::ifstream(path, std::ios::binary).rdbuf();
  const std::string changed = WithCurrent(old.str(), name);
  // One that begins with a directive or a marker, say, is left as it is.
  ASSIGN_OR_RETURN(const ContextsFile read, ParseContexts(path, changed));
  if (read.current != name || read.contexts.size() != file.contexts.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": set \"current\" by hand, the file has a form of its own"));
  }
  const std::string beside = path + ".new";
  std::ofstream out(beside, std::ios::binary | std::ios::trunc);
  out << changed;
  out.close();
  std::error_code failed;
  if (out) {
    const auto mode = std::filesystem::status(path, failed).permissions();
    if (!failed) std::filesystem::permissions(beside, mode, failed);
    if (!failed) std::filesystem::rename(beside, path, failed);
  }
  if (out && !failed) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("cannot write ", path, ": ", failed ? failed.message() : std::strerror(errno)));
}

}  // namespace meridian::cli
