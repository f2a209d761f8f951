#include "server/policy/yaml_document.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/base/strings.h"

namespace meridian {

absl::StatusOr<YAML::Node> LoadYaml(const std::string& file, const std::string& text) {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) return YAML::Node();
    if (documents.size() == 1) return documents[0];
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", std::max(documents[1].Mark().line, 0) + 1,
                     ": a second document begins; a file is one document, without `---` in it"));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(file, ":", error.mark.line + 1, ": ", error.msg));
  }
}

bool SaysNothing(std::string_view text) {
  for (const absl::string_view line : absl::StrSplit(ToAbsl(text), '\n')) {
    const absl::string_view words = absl::StripAsciiWhitespace(line);
    if (!words.empty() && words[0] != '#' && words != "---" && words != "...") return false;
  }
  return true;
}

}  // namespace meridian
