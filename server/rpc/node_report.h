// What a node says of itself: its status, its figures, its analytics.
//
// Thread safety: pure functions of what is there now; they do not wait for the network.

#ifndef MERIDIAN_SERVER_RPC_NODE_REPORT_H_
#define MERIDIAN_SERVER_RPC_NODE_REPORT_H_

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.pb.h"
#include "server/node/node_context.h"
#include "server/rpc/admin_sources.h"

namespace meridian {

// Not below 0.
inline uint64_t MsOf(absl::Duration duration) {
  return static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 0));
}

void FillStatus(const NodeContext& context, const AdminSources& sources,
                admin::v1::GetStatusResponse* response);
void FillLinks(const AdminSources& sources,
               google::protobuf::RepeatedPtrField<admin::v1::ReplicationLink>* links);
void FillFigures(const NodeContext& context, const AdminSources& sources,
                 admin::v1::GetFiguresResponse* response);
// `name_space`: empty: all together.
admin::v1::GetAnalyticsResponse AnalyticsOfNode(const NodeContext& context,
                                                const AdminSources& sources,
                                                std::string_view name_space);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_NODE_REPORT_H_
