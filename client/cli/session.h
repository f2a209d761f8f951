// Session is one run of meridianctl: the global options, where output goes, and the way to the
// nodes.
//
// Data goes to standard output, messages to standard error. Not thread safe.

#ifndef MERIDIAN_CLIENT_CLI_SESSION_H_
#define MERIDIAN_CLIENT_CLI_SESSION_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/cluster_file.h"
#include "client/cli/exit_code.h"
#include "client/cli/style.h"
#include "client/cpp/client.h"
#include "common/rpc/tls.h"

namespace meridian::cli {

struct GlobalOptions {
  std::vector<std::string> targets;
  std::string admin;
  std::string region;
  std::string cluster;
  std::string timeout = "5s";
  std::string context;
  std::string colour = "auto";
  TlsFiles tls = {};
  bool json = false;
  bool verbose = false;
};

class Session {
 public:
  GlobalOptions& options() { return options_; }
  const GlobalOptions& options() const { return options_; }
  bool json() const { return options_.json; }
  bool verbose() const { return options_.verbose; }

  // Fills in what the context says (contexts.h): --context; MERIDIAN_CONTEXT; without both, and
  // without MERIDIAN_TARGET and MERIDIAN_CLUSTER, the current one. What an option says stays.
  absl::Status ApplyContext(bool timeout_given);
  // For commands that ask no node: addresses do not matter.
  void WorkOffline() { offline_ = true; }
  bool offline() const { return offline_; }

  // Checks the options that only text can hold, that a cluster file which is named can be read, and
  // that --region is in it; takes MERIDIAN_TARGET for --target where nothing else is said. To be
  // called once they are parsed.
  absl::Status Prepare();
  absl::Duration timeout() const { return timeout_; }
  // Of every channel; as Prepare found it.
  const ChannelSecurity& security() const { return security_; }

  // --target; else the nodes of --region; else of the first region of a cluster file that an option
  // or the context names; else MERIDIAN_TARGET; else of the first region of MERIDIAN_CLUSTER; else
  // 127.0.0.1:7400. An error when there is an admin address alone: another cluster may be there.
  absl::StatusOr<std::vector<std::string>> Targets() const;
  // A client for Targets().
  absl::StatusOr<std::unique_ptr<Client>> Connect() const;
  absl::StatusOr<std::unique_ptr<Client>> ConnectTo(std::vector<std::string> targets) const;
  absl::StatusOr<ClusterFile> Cluster() const { return LoadClusterFile(options_.cluster); }

  // Options with the session's deadline.
  template <typename Options = CallOptions>
  Options Call() const {
    Options options;
    options.timeout = timeout_;
    return options;
  }

  // `text` and a line end to standard output.
  void Print(std::string_view text) const;
  // The text as it is.
  void PrintRaw(std::string_view text) const;
  // The bytes as they are, so that they can go into a file; a line end only for a terminal.
  void PrintValue(std::string_view value) const;
  void PrintJson(const nlohmann::ordered_json& json) const;
  // A message to standard error.
  void Note(std::string_view text) const;

  // Of standard output.
  Style OutStyle() const { return Style(WantsColour(options_.colour, 1)); }

  // Before something is destroyed: true when `yes` (--yes) or a person at a terminal says so; else
  // says what to do, for kExitUsage. `what` begins with "this".
  bool Confirm(std::string_view what, bool yes) const;

  // Whom Fail names from now on when nobody answers: these coordinators; empty: the nodes.
  void NameCoordinators(std::vector<std::string> addresses) const {
    coordinators_ = std::move(addresses);
  }

  // Tells people what went wrong and what to do; returns the exit code for it.
  ExitCode Fail(const absl::Status& status) const;
  ExitCode Fail(const ResultError& error) const;

 private:
  absl::Status CheckAddresses() const;
  static std::vector<std::string> TargetsOfEnvironment();
  // Whether MERIDIAN_CLUSTER names a file, and MERIDIAN_TARGET nothing or a node of it.
  bool FileIsOfTheEnvironment() const;
  std::string Advice(const ResultError& error) const;

  GlobalOptions options_;
  bool offline_ = false;
  bool admin_of_context_ = false;
  bool targets_of_environment_ = false;
  absl::Duration timeout_ = absl::Seconds(5);
  ChannelSecurity security_;
  mutable std::vector<std::string> coordinators_;
};

// 4 for missing rights, 5 for nodes that are away or slow, 1 for everything else.
ExitCode ExitCodeOf(const ResultError& error);

bool StderrIsTerminal();

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_SESSION_H_
