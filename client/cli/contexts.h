// Contexts are clusters by name, in ~/.config/meridian/contexts.yaml:
//
//   current: dev
//   contexts:
//     dev: {cluster: /srv/meridian/.cluster/cluster.json}
//     us: {targets: [cache-1.us:7400, cache-2.us:7400], timeout: 10s, tls_ca: ca.pem}
//
// Thread safety: pure functions, but for those that read and write the file.

#ifndef MERIDIAN_CLIENT_CLI_CONTEXTS_H_
#define MERIDIAN_CLIENT_CLI_CONTEXTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/tls/tls_files.h"

namespace meridian::cli {

// As the global options of the same names; what is empty is not said.
struct Context {
  std::string name;
  std::vector<std::string> targets = {};
  std::string admin = {};
  std::string region = {};
  std::string cluster = {};  // Relative to the folder of the contexts file, unless absolute.
  std::string timeout = {};
  TlsFiles tls = {};  // As cluster.
};

struct ContextsFile {
  std::string path;
  std::string current = {};  // Empty: none.
  std::vector<Context> contexts = {};

  // kNotFound, with those that there are.
  absl::StatusOr<Context> Find(std::string_view name) const;
  // Of `current`, which may name none. REQUIRES: it is not empty.
  absl::StatusOr<Context> Current() const;
};

// MERIDIAN_CONTEXTS; else in XDG_CONFIG_HOME; else in ~/.config. Empty: there is no HOME.
std::string ContextsPath();

// kInvalidArgument, with file, line and what is wrong, when `text` is not such a file.
absl::StatusOr<ContextsFile> ParseContexts(std::string path, const std::string& text);

// kNotFound when there is no such file.
absl::StatusOr<ContextsFile> LoadContexts(const std::string& path);

// `text` with another `current`; all else, comments too, stays.
std::string WithCurrent(const std::string& text, std::string_view name);

// Makes `name` the current context of the file. kNotFound: there is no such context.
absl::Status UseContext(const std::string& path, std::string_view name);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_CONTEXTS_H_
