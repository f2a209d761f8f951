#include "client/cli/session.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/duration_text.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"

namespace meridian::cli {
namespace {

constexpr char kDefaultTarget[] = "127.0.0.1:7400";

bool WantsColour() {
  const char* no_colour = std::getenv("NO_COLOR");
  return StderrIsTerminal() && (no_colour == nullptr || *no_colour == '\0');
}

// A whole line of JSON; bytes that are no UTF-8 do not stop it.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

bool StderrIsTerminal() { return isatty(STDERR_FILENO) == 1; }

absl::Status Session::Prepare() {
  const std::optional<absl::Duration> timeout = ParseDuration(options_.timeout);
  if (!timeout || *timeout < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--timeout \"", options_.timeout, "\" is not a duration such as 500ms or 5s"));
  }
  timeout_ = *timeout;
  return CheckAddresses();
}

absl::Status Session::CheckAddresses() const {
  if (!options_.admin.empty() && !IsHostPort(options_.admin)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--admin \"", options_.admin, "\" is not HOST:PORT"));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> targets, Targets());
  const char* source = !options_.targets.empty() ? "--target" : "MERIDIAN_TARGET";
  for (const std::string& target : targets) {
    if (IsHostPort(target)) continue;
    return absl::InvalidArgumentError(absl::StrCat(source, " \"", target, "\" is not HOST:PORT"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> Session::Targets() const {
  if (!options_.targets.empty()) return options_.targets;
  if (!options_.region.empty()) {
    ASSIGN_OR_RETURN(const ClusterFile file, Cluster());
    ASSIGN_OR_RETURN(const ClusterRegion region, file.Region(options_.region));
    return region.DataAddresses();
  }
  const char* from_environment = std::getenv("MERIDIAN_TARGET");
  if (from_environment != nullptr && *from_environment != '\0') {
    return std::vector<std::string>(absl::StrSplit(from_environment, ','));
  }
  return std::vector<std::string>{kDefaultTarget};
}

absl::StatusOr<std::unique_ptr<Client>> Session::Connect() const {
  ASSIGN_OR_RETURN(std::vector<std::string> targets, Targets());
  return Client::Create({.targets = std::move(targets)});
}

void Session::Print(std::string_view text) const {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
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
  const std::string label = WantsColour() ? "\033[31merror:\033[0m " : "error: ";
  std::string text = label;
  if (!error.reason.empty()) absl::StrAppend(&text, error.reason, ": ");
  absl::StrAppend(&text, error.message);
  const std::string advice = Advice(error);
  if (!advice.empty()) absl::StrAppend(&text, "\n", advice);
  Note(text);
  return ExitCodeOf(error);
}

std::string Session::Advice(const ResultError& error) const {
  const auto targets = Targets();
  const std::string where = targets.ok() ? absl::StrJoin(*targets, ", ") : "the nodes";
  if (error.code == absl::StatusCode::kUnavailable && error.reason == "UNAVAILABLE") {
    return absl::StrCat("cannot reach ", where,
                        ": is the cluster up? scripts/local-cluster status; another address: "
                        "--target HOST:PORT");
  }
  if (error.code == absl::StatusCode::kDeadlineExceeded) {
    return absl::StrCat(where, " did not answer within ", DurationText(timeout_),
                        ": more time with --timeout 30s, or see scripts/local-cluster status");
  }
  // gRPC's own word: the port belongs to another service. What Meridian has not built says so.
  if (error.code == absl::StatusCode::kUnimplemented && error.reason == "UNIMPLEMENTED") {
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
