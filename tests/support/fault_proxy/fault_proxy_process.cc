#include "tests/support/fault_proxy/fault_proxy_process.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "tests/support/fault_proxy/test_socket.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(20);
constexpr absl::Duration kAnswerLimit = absl::Seconds(20);

}  // namespace

absl::StatusOr<std::unique_ptr<FaultProxyProcess>> FaultProxyProcess::Start(
    const std::string& target, const std::string& faults) {
  std::unique_ptr<FaultProxyProcess> proxy(new FaultProxyProcess);
  const std::string log = proxy->dir_ / "log";
  const std::string ready_file = proxy->dir_ / "ready";
  ASSIGN_OR_RETURN(
      proxy->process_,
      ChildProcess::Start({.words = {ProgramPath("meridian-fault-proxy"), "--target", target,
                                     "--set", faults, "--ready-file", ready_file},
                           .stdout_path = log,
                           .stderr_path = log}));
  nlohmann::json ready;
  const auto is_ready = [&] {
    ready = nlohmann::json::parse(ReadFile(ready_file), nullptr, /*allow_exceptions=*/false);
    return ready.is_object();
  };
  WaitUntil([&] { return is_ready() || !proxy->process_->Running(); }, kStartLimit);
  if (!is_ready()) {
    return absl::UnavailableError(absl::StrCat("the proxy did not start:\n", ReadFile(log)));
  }
  proxy->address_ = ready["listen"];
  proxy->control_ = ready["control"];
  return proxy;
}

absl::StatusOr<std::string> FaultProxyProcess::Ask(const std::string& line) const {
  TestSocket socket(control_);
  if (!socket.ok() || !socket.Send(line + "\n")) return absl::UnavailableError("no proxy");
  std::string answer;
  while (answer.empty() || answer.back() != '\n') {
    RETURN_IF_ERROR(socket.ReceiveUntil(answer.size() + 1, kAnswerLimit, &answer));
  }
  answer.pop_back();
  return answer;
}

absl::Status FaultProxyProcess::Set(const std::string& words) const {
  ASSIGN_OR_RETURN(const std::string answer, Ask("set " + words));
  return answer == "ok" ? absl::OkStatus() : absl::InvalidArgumentError(answer);
}

absl::StatusOr<nlohmann::json> FaultProxyProcess::Status() const {
  ASSIGN_OR_RETURN(const std::string answer, Ask("status"));
  return nlohmann::json::parse(answer, nullptr, /*allow_exceptions=*/false);
}

}  // namespace meridian
