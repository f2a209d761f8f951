// FigureTransport asks nodes what they count: the port that FigureCollector and Advisor stand on.
// GrpcFigureTransport is the real one; tests have a fake.

#ifndef MERIDIAN_SERVER_FIGURES_FIGURE_TRANSPORT_H_
#define MERIDIAN_SERVER_FIGURES_FIGURE_TRANSPORT_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

class FigureTransport {
 public:
  template <typename Response>
  using Done = std::function<void(absl::StatusOr<Response>)>;

  virtual ~FigureTransport() = default;

  // Only these addresses are asked from now on.
  virtual void KeepOnly(const std::vector<std::string>& addresses) = 0;

  // Each asks the node whose AdminService is at `address`. `done` is called exactly once, on any
  // thread; it must not block.
  virtual void GetFigures(const std::string& address, absl::Duration timeout,
                          Done<admin::v1::GetFiguresResponse> done) = 0;
  virtual void WhatIf(const std::string& address, const admin::v1::WhatIfRequest& request,
                      absl::Duration timeout, Done<admin::v1::WhatIfResponse> done) = 0;
  virtual void GetAnalytics(const std::string& address, const std::string& name_space,
                            absl::Duration timeout, Done<admin::v1::GetAnalyticsResponse> done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_FIGURE_TRANSPORT_H_
