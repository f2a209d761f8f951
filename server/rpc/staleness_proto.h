// What AdminService.GetStaleness answers.

#ifndef MERIDIAN_SERVER_RPC_STALENESS_PROTO_H_
#define MERIDIAN_SERVER_RPC_STALENESS_PROTO_H_

#include <string_view>

#include "meridian/admin/v1/admin_service.pb.h"
#include "server/replication/staleness_sampler.h"

namespace meridian {

// `only`: a namespace; empty: all.
void FillStaleness(const StalenessReport& report, std::string_view only,
                   admin::v1::GetStalenessResponse* response);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_STALENESS_PROTO_H_
