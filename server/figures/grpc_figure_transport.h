// GrpcFigureTransport is FigureTransport over AdminService.
//
// Cost: one channel for each address, kept. Thread safety: all methods may be called concurrently.
// The destructor cancels what is on its way and waits until every callback has run.

#ifndef MERIDIAN_SERVER_FIGURES_GRPC_FIGURE_TRANSPORT_H_
#define MERIDIAN_SERVER_FIGURES_GRPC_FIGURE_TRANSPORT_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/pending_calls.h"
#include "common/rpc/stub_pool.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "server/figures/figure_transport.h"

namespace meridian {

class GrpcFigureTransport final : public FigureTransport {
 public:
  explicit GrpcFigureTransport(ChannelSecurity security = {}) : stubs_(std::move(security)) {}
  void KeepOnly(const std::vector<std::string>& addresses) override { stubs_.KeepOnly(addresses); }
  void GetFigures(const std::string& address, absl::Duration timeout,
                  Done<admin::v1::GetFiguresResponse> done) override;
  void WhatIf(const std::string& address, const admin::v1::WhatIfRequest& request,
              absl::Duration timeout, Done<admin::v1::WhatIfResponse> done) override;
  void GetAnalytics(const std::string& address, const std::string& name_space,
                    absl::Duration timeout, Done<admin::v1::GetAnalyticsResponse> done) override;

 private:
  using Stub = admin::v1::AdminService::Stub;
  template <typename Request, typename Response>
  struct Call;

  // `start` begins the call on a stub.
  template <typename Request, typename Response, typename Start>
  void Ask(const std::string& address, Request request, absl::Duration timeout, Done<Response> done,
           Start start);

  StubPool<admin::v1::AdminService> stubs_;
  PendingCalls calls_;  // Ends first.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_GRPC_FIGURE_TRANSPORT_H_
