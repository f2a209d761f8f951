// The hot keys as the wire has them: what nodes report, and the call ListHotKeys.
//
// Thread safety: on the coordinator's executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_HOT_KEY_CALLS_H_
#define MERIDIAN_SERVER_COORDINATOR_HOT_KEY_CALLS_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <vector>

#include "common/cluster/hot_key.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/hot_key_lead.h"

namespace meridian {

// The keys of a node's report that can be keys, with rates that can be rates; at most
// kMaxReportedHotKeys. A report that is wrong costs its node nothing else.
std::vector<HotKey> FromProto(const coordinator::v1::HotKeyReport& report);

// `response` is filled when `done` gets OK; it outlives `done`. REQUIRES: this coordinator leads.
void ListHotKeys(HotKeyLead& hot_keys, const coordinator::v1::ListHotKeysRequest& request,
                 coordinator::v1::ListHotKeysResponse* response,
                 std::function<void(const grpc::Status&)> done);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_HOT_KEY_CALLS_H_
