// FaultProxyProcess is a running meridian-fault-proxy of a test's own.
//
// Thread safety: Set and Status may be called concurrently; start it in the main thread.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_PROCESS_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_PROCESS_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace meridian {

class FaultProxyProcess {
 public:
  // Carries connections to `target`, a numeric address and port. `faults` as for ParseFaults.
  static absl::StatusOr<std::unique_ptr<FaultProxyProcess>> Start(const std::string& target,
                                                                  const std::string& faults = "");

  const std::string& address() const { return address_; }
  // More words of ParseFaults; in force when it returns.
  absl::Status Set(const std::string& words) const;
  // What the proxy answers to `status` (control_server.h).
  absl::StatusOr<nlohmann::json> Status() const;
  // Any control line, and its answer.
  absl::StatusOr<std::string> Ask(const std::string& line) const;
  ChildProcess& process() { return *process_; }

 private:
  FaultProxyProcess() = default;

  const TempDir dir_;
  std::unique_ptr<ChildProcess> process_;
  std::string address_;
  std::string control_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_FAULT_PROXY_PROCESS_H_
