#include "client/cli/session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "client/cli/contexts.h"
#include "client/cli/duration_text.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr char kDefaultTarget[] = "127.0.0.1:7400";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// As nodes and coordinators read them, so that it works beside them, in their pods.
TlsFiles TlsOfEnvironment(std::string server_name) {
  if (server_name.empty()) server_name = Variable("MERIDIAN_TLS_SERVER_NAME");
  return {Variable("MERIDIAN_TLS_CERT"), Variable("MERIDIAN_TLS_KEY"), Variable("MERIDIAN_TLS_CA"),
          std::move(server_name)};
}

// A whole line of JSON; bytes that are no UTF-8 do not stop it.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

bool StderrIsTerminal() { return isatty(STDERR_FILENO) == 1; }

absl::Status Session::ApplyContext(bool timeout_given) {
  std::string name = options_.context.empty() ? Variable("MERIDIAN_CONTEXT") : options_.context;
  const bool named = !name.empty();
  if (!named && (!Variable("MERIDIAN_TARGET").empty() || !Variable("MERIDIAN_CLUSTER").empty())) {
    return absl::OkStatus();
  }
  const absl::StatusOr<ContextsFile> file = LoadContexts(ContextsPath());
  if (!file.ok()) {
    return absl::IsNotFound(file.status()) && !named ? absl::OkStatus() : file.status();
  }
  if (!named && file->current.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Context context, named ? file->Find(name) : file->Current());
  name = context.name;
  if (!timeout_given && !context.timeout.empty()) options_.timeout = context.timeout;
  // Addresses of two clusters must not mix.
  if (!options_.targets.empty() || !options_.admin.empty() || !options_.cluster.empty()) {
    return absl::OkStatus();
  }
  if (options_.tls.empty()) options_.tls = context.tls;
  options_.cluster = context.cluster;
  if (!options_.region.empty()) {  // One that happens to be here would be of another cluster.
    if (!context.cluster.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("context \"", name, "\" has no cluster file in which to find --region ",
                     options_.region, ": add --cluster FILE, or name its nodes with --target"));
  }
  options_.region = context.region;
  options_.targets = context.targets;
  options_.admin = context.admin;
  admin_of_context_ = !context.admin.empty();
  return absl::OkStatus();
}

bool Session::Confirm(std::string_view what, bool yes) const {
  if (yes) return true;
  if (isatty(STDIN_FILENO) == 0 || !StderrIsTerminal()) {
    Note(absl::StrCat("error: ", ToAbsl(what), ": --yes says that it is meant"));
    return false;
  }
  std::fprintf(stderr, "%.*s. Go on? [y/N] ", static_cast<int>(what.size()), what.data());
  char answer[16] = {};
  if (std::fgets(answer, sizeof(answer), stdin) != nullptr &&
      (answer[0] == 'y' || answer[0] == 'Y')) {
    return true;
  }
  Note("nothing was done");
  return false;
}

absl::Status Session::Prepare() {
  const std::optional<absl::Duration> timeout = ParseDuration(options_.timeout);
  if (!timeout || *timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout \"", options_.timeout, "\" is not a duration such as 500ms or 5s"));
  }
  timeout_ = *timeout;
  if (options_.tls.empty()) options_.tls = TlsOfEnvironment(std::move(options_.tls.server_name));
  if (const TlsFiles& tls = options_.tls; !tls.empty()) {
    if (tls.authorities.empty()) {
      return absl::InvalidArgumentError("--tls-cert and --tls-key need --tls-ca");
    }
    RETURN_IF_ERROR(CheckTlsFiles(tls, absl::Now()));
    security_ = ChannelSecurityOf(tls);
  } else if (!tls.server_name.empty()) {
    return absl::InvalidArgumentError("--tls-server-name needs --tls-ca");
  }
  const bool says_nothing = options_.targets.empty() && options_.admin.empty() &&
                            options_.region.empty() && options_.cluster.empty();
  if (says_nothing && !FileIsOfTheEnvironment()) {
    // For commands of whole clusters, too, before a cluster file that is of another one.
    options_.targets = TargetsOfEnvironment();
    targets_of_environment_ = true;
  }
  return CheckAddresses();
}

absl::Status Session::CheckAddresses() const {
  if (!options_.admin.empty() && !IsHostPort(options_.admin)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--admin \"", options_.admin, "\" is not HOST:PORT"));
  }
  if (!options_.cluster.empty()) RETURN_IF_ERROR(Cluster().status());  // What is named is there.
  const absl::StatusOr<std::vector<std::string>> targets = Targets();
  // Who asks AdminService alone needs no others.
  if (!targets.ok()) return options_.admin.empty() ? targets.status() : absl::OkStatus();
  const char* source =
      options_.targets.empty() || targets_of_environment_ ? "MERIDIAN_TARGET" : "--target";
  for (const std::string& target : *targets) {
    if (IsHostPort(target)) continue;
    return absl::InvalidArgumentError(absl::StrCat(source, " \"", target, "\" is not HOST:PORT"));
  }
  return absl::OkStatus();
}

bool Session::FileIsOfTheEnvironment() const {
  if (Variable("MERIDIAN_CLUSTER").empty()) return false;
  const std::vector<std::string> targets = TargetsOfEnvironment();
  if (targets.empty()) return true;
  const absl::StatusOr<ClusterFile> file = Cluster();
  if (!file.ok()) return false;
  for (const ClusterRegion& region : file->regions) {
    for (const std::string& address : region.DataAddresses()) {
      if (std::find(targets.begin(), targets.end(), address) != targets.end()) return true;
    }
  }
  return false;
}

std::vector<std::string> Session::TargetsOfEnvironment() {
  return absl::StrSplit(Variable("MERIDIAN_TARGET"), ',', absl::SkipEmpty());
}

absl::StatusOr<std::vector<std::string>> Session::Targets() const {
  if (!options_.targets.empty()) return options_.targets;
  if (!options_.region.empty()) {
    ASSIGN_OR_RETURN(const ClusterFile file, Cluster());
    ASSIGN_OR_RETURN(const ClusterRegion region, file.Region(options_.region));
    return region.DataAddresses();
  }
  std::vector<std::string> environment = TargetsOfEnvironment();
  const bool of_file =
      !options_.cluster.empty() || (environment.empty() && !Variable("MERIDIAN_CLUSTER").empty());
  if (of_file) {
    ASSIGN_OR_RETURN(const ClusterFile file, Cluster());
    return file.regions.front().DataAddresses();  // A file without regions is refused.
  }
  if (admin_of_context_ || (!options_.admin.empty() && environment.empty())) {
    return absl::InvalidArgumentError(
        "an admin address alone is known, and this is asked of data addresses: add --target "
        "HOST:PORT");
  }
  if (!environment.empty()) return environment;
  return std::vector<std::string>{kDefaultTarget};
}

absl::StatusOr<std::unique_ptr<Client>> Session::Connect() const {
  ASSIGN_OR_RETURN(std::vector<std::string> targets, Targets());
  return ConnectTo(std::move(targets));
}

absl::StatusOr<std::unique_ptr<Client>> Session::ConnectTo(std::vector<std::string> targets) const {
  ClientOptions options;
  options.targets = std::move(targets);
  options.tls = options_.tls;
  return Client::Create(std::move(options));
}

void Session::Print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void Session::PrintRaw(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void Session::PrintValue(std::string_view value) const {
  std::fwrite(value.data(), 1, value.size(), stdout);
  if (isatty(STDOUT_FILENO) == 1) std::fputc('\n', stdout);
}

void Session::PrintJson(const nlohmann::ordered_json& json) const { Print(Dump(json)); }

void Session::Note(std::string_view text) const {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(text.size()), text.data());
}

ExitCode Session::Fail(const absl::Status& status) const {
  ResultError error;
  error.code = status.code();
  error.message = std::string(status.message());
  return Fail(error);
}

ExitCode Session::Fail(const ResultError& error) const {
  const Style style(WantsColour(options_.colour, STDERR_FILENO));
  std::string text = style.Red("error:") + " ";
  if (!error.reason.empty()) absl::StrAppend(&text, error.reason, ": ");
  absl::StrAppend(&text, error.message);
  const std::string advice = Advice(error);
  if (!advice.empty()) absl::StrAppend(&text, "\n", advice);
  Note(text);
  return ExitCodeOf(error);
}

std::string Session::Advice(const ResultError& error) const {
  const auto targets = Targets();
  const bool of_nodes = coordinators_.empty();
  std::string where = targets.ok() ? absl::StrJoin(*targets, ", ") : "the nodes";
  if (!of_nodes) where = absl::StrCat("coordinator ", absl::StrJoin(coordinators_, ", "));
  if (error.code == absl::StatusCode::kUnavailable && error.reason == "UNAVAILABLE") {
    return absl::StrCat("cannot reach ", where, of_nodes ? ": is the cluster" : ": is one",
                        " up? scripts/local-cluster status; another address: ",
                        of_nodes ? "--target" : "--coordinator", " HOST:PORT");
  }
  if (error.reason == "ORIGIN_TIMEOUT" || error.reason == "ORIGIN_UNAVAILABLE") {
    return "the nodes are well, and what they have is served; see the origin of the namespace, or "
           "take an older value with --max-stale 10s";
  }
  // gRPC's own word again; what a server says with a reason it has answered.
  if (error.code == absl::StatusCode::kDeadlineExceeded &&
      (error.reason.empty() || error.reason == "DEADLINE_EXCEEDED")) {
    return absl::StrCat(where, " did not answer within ", DurationText(timeout_),
                        ": more time with --timeout 30s, or see scripts/local-cluster status");
  }
  // gRPC's own word: the port belongs to another service. What Meridian has not built says so.
  if (error.code == absl::StatusCode::kUnimplemented && error.reason == "UNIMPLEMENTED") {
    if (!of_nodes) {
      return "this port does not serve that call: --coordinator takes the address of a coordinator "
             "(port 7410 unless configured otherwise)";
    }
    return "this port does not serve that call: --target takes data addresses (port 7400 unless "
           "configured otherwise), --admin the admin address of one node (7402)";
  }
  if (error.reason == "OUTCOME_UNKNOWN")
    return "read the key to see what is stored: meridianctl get";
  return "";
}

ExitCode ExitCodeOf(const ResultError& error) {
  switch (error.code) {
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kExitAuth;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    default:
      return kExitFailed;
  }
}

}  // namespace meridian::cli
