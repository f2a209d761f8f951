// Reads a configuration file's text. Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_POLICY_YAML_DOCUMENT_H_
#define MERIDIAN_SERVER_POLICY_YAML_DOCUMENT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace YAML {
class Node;
}

namespace meridian {

// The one document of `text`; a null node when there is none. A second document would be settings
// that nobody reads, so that it is refused. Errors begin with "file:line: ".
absl::StatusOr<YAML::Node> LoadYaml(const std::string& file, const std::string& text);

// True when there is nothing in a YAML text but blanks, comments and marks of documents.
bool SaysNothing(std::string_view text);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_YAML_DOCUMENT_H_
