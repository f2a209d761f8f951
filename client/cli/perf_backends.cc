#include "client/cli/perf_backends.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "client/cli/admin.h"
#include "client/cli/ask_nodes.h"

namespace meridian::cli {

using admin::v1::AdminService;

PerfBackend BackendOf(const admin::v1::GetStatusResponse& status) {
  PerfBackend backend;
  backend.node = status.node();
  backend.region = status.region();
  backend.version = status.version();
  const bool enabled = status.l2_size() > 0 && !status.l2(0).address().empty();
  backend.redis = !enabled ? "disabled" : status.l2(0).connected() ? "connected" : "disconnected";
  if (enabled) backend.breaker = status.l2(0).breaker();
  backend.fallback_chain = absl::StrJoin(status.fallback_chain(), ", ");
  backend.l1_entries = status.l1_entries();
  backend.l1_bytes = status.l1_bytes();
  backend.l1_limit_bytes = status.l1_limit_bytes();
  return backend;
}

PerfBackends FetchBackends(const Session& session) {
  PerfBackends backends;
  ResultError error;
  const std::vector<std::string> addresses = AdminAddresses(session, &error);
  if (addresses.empty()) {
    backends.problem = error.message;
    return backends;
  }
  for (auto& answer : AskNodes<admin::v1::GetStatusResponse>(
           session, addresses, &AdminService::Stub::GetStatus, admin::v1::GetStatusRequest())) {
    PerfBackend backend;
    if (answer.answered) backend = BackendOf(answer.response);
    backend.address = answer.address;
    if (!answer.answered) backend.problem = answer.error.message;
    backends.nodes.push_back(std::move(backend));
  }
  for (const auto& answer : AskNodes<admin::v1::GetAnalyticsResponse>(
           session, addresses, &AdminService::Stub::GetAnalytics,
           admin::v1::GetAnalyticsRequest())) {
    for (const std::string& advice : answer.response.optimization_recommendations()) {
      const auto known = std::find(backends.advice.begin(), backends.advice.end(), advice);
      if (known == backends.advice.end()) backends.advice.push_back(advice);
    }
  }
  return backends;
}

}  // namespace meridian::cli
