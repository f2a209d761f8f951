// OriginService of the example: loads from the database, as slowly and as unreliably as it is told,
// and counts. OriginAdmin looks into it, and is the service's write path: it changes the database
// and then invalidates in the cache what was made from it.
//
// Thread safety: gRPC calls the methods concurrently.

#ifndef MERIDIAN_EXAMPLES_ORIGIN_ORIGIN_SERVICE_H_
#define MERIDIAN_EXAMPLES_ORIGIN_ORIGIN_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "client/cpp/client.h"
#include "examples/origin/database.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"
#include "origin_admin.grpc.pb.h"

namespace meridian::example {

using v1::GetStatsRequest;
using v1::GetStatsResponse;
using v1::OriginAdminService;
using v1::SetBehaviourRequest;
using v1::SetBehaviourResponse;
using v1::UpdateRequest;
using v1::UpdateResponse;

class OriginService final : public origin::v1::OriginService::Service {
 public:
  // Not owned; outlives this.
  explicit OriginService(Database& database) : database_(database) {}

  grpc::Status BatchLoad(grpc::ServerContext* context, const origin::v1::BatchLoadRequest* request,
                         origin::v1::BatchLoadResponse* response) override;

  void SetBehaviour(uint32_t delay_ms, double failure_rate);
  void Stats(bool reset, GetStatsResponse* response);

 private:
  bool Fails();

  Database& database_;
  std::atomic<uint32_t> delay_ms_{0};
  std::atomic<double> failure_rate_{0};
  absl::Mutex mu_;
  std::minstd_rand random_ ABSL_GUARDED_BY(mu_);
  uint64_t loads_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t keys_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t failed_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, uint64_t> keys_by_namespace_ ABSL_GUARDED_BY(mu_);
};

class OriginAdmin final : public OriginAdminService::Service {
 public:
  // Neither is owned. `caches`: a client of each region, or none.
  OriginAdmin(OriginService& origin, Database& database,
              std::vector<std::unique_ptr<Client>> caches)
      : origin_(origin), database_(database), caches_(std::move(caches)) {}

  grpc::Status GetStats(grpc::ServerContext* context, const GetStatsRequest* request,
                        GetStatsResponse* response) override;
  grpc::Status SetBehaviour(grpc::ServerContext* context, const SetBehaviourRequest* request,
                            SetBehaviourResponse* response) override;
  // Answers UNAVAILABLE when the database was changed and a region was not told: call it again.
  grpc::Status Update(grpc::ServerContext* context, const UpdateRequest* request,
                      UpdateResponse* response) override;

 private:
  OriginService& origin_;
  Database& database_;
  const std::vector<std::unique_ptr<Client>> caches_;
};

}  // namespace meridian::example

#endif  // MERIDIAN_EXAMPLES_ORIGIN_ORIGIN_SERVICE_H_
