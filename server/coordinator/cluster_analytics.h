// ClusterAnalytics answers what CoordinatorService.GetAnalytics is asked, over gRPC and HTTP: the
// figures under the names of older dashboards, of a region, of one of its nodes, or of all regions,
// whose coordinators tell theirs over HTTP.
//
// Promise: an answer within 2 s. A region that does not answer is told as not known, and is in no
//   sum.
// Bounded: kMaxUnderWay calls, one more is RESOURCE_EXHAUSTED. Of those that ask other regions for
//   a namespace of which this region has no figures, because it may be known there alone,
//   kMaxUnknown, so that made-up names keep nobody out.
// Thread safety: all on the coordinator's executor. REQUIRES: the coordinator leads.

#ifndef MERIDIAN_SERVER_COORDINATOR_CLUSTER_ANALYTICS_H_
#define MERIDIAN_SERVER_COORDINATOR_CLUSTER_ANALYTICS_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/figures/analytics.h"
#include "server/figures/figure_collector.h"
#include "server/figures/figure_transport.h"
#include "server/figures/other_regions.h"

namespace meridian {

class ClusterAnalytics {
 public:
  // What other regions' coordinators are asked for.
  static constexpr char kPath[] = "/v1/cluster/analytics";
  static constexpr int kMaxUnderWay = 256;
  static constexpr int kMaxUnknown = 8;

  using Done =
      std::function<void(const grpc::Status& status, coordinator::v1::GetAnalyticsResponse answer)>;

  // Nothing is owned; all outlives this.
  ClusterAnalytics(Coordinator& coordinator, const FigureCollector& collector,
                   FigureTransport& transport, UnitCosts costs)
      : coordinator_(coordinator),
        collector_(collector),
        transport_(transport),
        costs_(std::move(costs)) {}

  // Without them there is only this region. REQUIRES: before the first call.
  void SetOtherRegions(OtherRegions* others) { others_ = others; }

  const UnitCosts& costs() const { return costs_; }

  void Get(const coordinator::v1::GetAnalyticsRequest& request, Done done);

 private:
  struct Round;

  void Answer(const coordinator::v1::GetAnalyticsRequest& request, Done done);
  bool IsKnown(const std::string& name_space) const;

  using OwnDone = std::function<void(admin::v1::GetAnalyticsResponse analytics)>;
  // Of the nodes that are alive, or of one of them.
  grpc::Status GetOwn(const std::string& name_space, const std::string& node, OwnDone done);
  void OneIsThere(const std::shared_ptr<Round>& round);

  Coordinator& coordinator_;
  const FigureCollector& collector_;
  FigureTransport& transport_;
  const UnitCosts costs_;
  OtherRegions* others_ = nullptr;
  int under_way_ = 0;
  int unknown_ = 0;  // Of these.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_CLUSTER_ANALYTICS_H_
