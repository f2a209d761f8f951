// The JSON of /v1/cluster/warming (docs/http_api.md): jobs, what they brought, what each source may
// read, when schedules run next, and the budgets that were configured.
//
// Thread safety: a pure function; `warmer` is the executor's.

#ifndef MERIDIAN_SERVER_COORDINATOR_WARMING_JSON_H_
#define MERIDIAN_SERVER_COORDINATOR_WARMING_JSON_H_

#include <nlohmann/json.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/warming/warmer.h"

namespace meridian {

// `answers`: the last ones of the nodes. kUnavailable when the warmer does not lead.
absl::StatusOr<nlohmann::ordered_json> WarmingJson(
    const Warmer& warmer, const std::vector<admin::v1::GetFiguresResponse>& answers,
    absl::Time now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WARMING_JSON_H_
