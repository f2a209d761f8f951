// AdminServiceHandlers is admin.v1.AdminService: what operators ask a node, with grpcurl or meridianctl.
//
// Thread safety: gRPC calls the methods concurrently; nothing here blocks on the network.

#ifndef MERIDIAN_SERVER_RPC_ADMIN_SERVICE_H_
#define MERIDIAN_SERVER_RPC_ADMIN_SERVICE_H_

#include <atomic>

#include "common/base/executor.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "server/node/explain.h"
#include "server/node/node_context.h"
#include "server/node/write_path.h"
#include "server/rpc/admin_sources.h"

namespace meridian {

class AdminServiceHandlers final : public admin::v1::AdminService::CallbackService {
 public:
  // Nothing is owned; everything outlives the gRPC server.
  // `background` does what takes long.
  AdminServiceHandlers(const NodeContext& context, WritePath& writes, Explainer& explainer,
                       Executor& background, AdminSources sources);

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* GetStatus(Context*, const admin::v1::GetStatusRequest*,
                     admin::v1::GetStatusResponse*) override;
  Reactor* GetFigures(Context*, const admin::v1::GetFiguresRequest*,
                      admin::v1::GetFiguresResponse*) override;
  Reactor* GetAnalytics(Context*, const admin::v1::GetAnalyticsRequest*,
                        admin::v1::GetAnalyticsResponse*) override;
  Reactor* GetRing(Context*, const admin::v1::GetRingRequest*, admin::v1::GetRingResponse*) override;
  Reactor* ExplainKey(Context*, const admin::v1::ExplainKeyRequest*,
                      admin::v1::ExplainKeyResponse*) override;
  Reactor* InvalidateKey(Context*, const admin::v1::InvalidateKeyRequest*,
                         admin::v1::InvalidateKeyResponse*) override;
  Reactor* FlushL1(Context*, const admin::v1::FlushL1Request*, admin::v1::FlushL1Response*) override;
  Reactor* SetLogLevel(Context*, const admin::v1::SetLogLevelRequest*,
                       admin::v1::SetLogLevelResponse*) override;
  Reactor* ListPolicies(Context*, const admin::v1::ListPoliciesRequest*,
                        admin::v1::ListPoliciesResponse*) override;
  Reactor* GetReplication(Context*, const admin::v1::GetReplicationRequest*,
                          admin::v1::GetReplicationResponse*) override;
  Reactor* SetReplicationCut(Context*, const admin::v1::SetReplicationCutRequest*,
                             admin::v1::SetReplicationCutResponse*) override;
  Reactor* WhatIf(Context*, const admin::v1::WhatIfRequest*, admin::v1::WhatIfResponse*) override;
  Reactor* DiffRegions(Context*, const admin::v1::DiffRegionsRequest*,
                       admin::v1::DiffRegionsResponse*) override;
  Reactor* ListHotKeys(Context*, const admin::v1::ListHotKeysRequest*,
                       admin::v1::ListHotKeysResponse*) override;
  Reactor* Drain(Context*, const admin::v1::DrainRequest*, admin::v1::DrainResponse*) override;
  Reactor* GetStaleness(Context*, const admin::v1::GetStalenessRequest*,
                        admin::v1::GetStalenessResponse*) override;

 private:
  const NodeContext& context_;
  WritePath& writes_;
  Explainer& explainer_;
  Executor& background_;
  const AdminSources sources_;
  std::atomic<int> what_ifs_{0};  // Under way.
  std::atomic<bool> diffing_{false};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_ADMIN_SERVICE_H_
