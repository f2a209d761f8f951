// What the nodes say of themselves and of their Redis before a performance test (requirement 3-12:
// the backend check).

#ifndef MERIDIAN_CLIENT_CLI_PERF_BACKENDS_H_
#define MERIDIAN_CLIENT_CLI_PERF_BACKENDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/session.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian::cli {

struct PerfBackend {
  std::string address;
  std::string problem;  // Why it did not answer; then the rest is not known.
  std::string node;
  std::string region;
  std::string version;
  std::string redis;  // "connected", "disconnected" or "disabled".
  std::string breaker;
  std::string fallback_chain;  // "l1, l2, origin"
  uint64_t l1_entries = 0;
  uint64_t l1_bytes = 0;
  uint64_t l1_limit_bytes = 0;
};

struct PerfBackends {
  std::vector<PerfBackend> nodes;
  std::string problem;              // Why none is known.
  std::vector<std::string> advice;  // Of the nodes, about the traffic that they have seen.
};

PerfBackend BackendOf(const admin::v1::GetStatusResponse& status);

PerfBackends FetchBackends(const Session& session);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PERF_BACKENDS_H_
