// GrpcWarmReader is WarmReader over CacheService.BatchGet, without the values: nothing that users
// could not ask for themselves.
//
// Cost: one channel for each address, kept; one small message each way a batch.
// Thread safety: all methods may be called concurrently. The destructor cancels what is on its way
// and waits until every callback has run.

#ifndef MERIDIAN_SERVER_WARMING_GRPC_WARM_READER_H_
#define MERIDIAN_SERVER_WARMING_GRPC_WARM_READER_H_

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/stub_pool.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "server/warming/warm_reader.h"

namespace meridian {

class GrpcWarmReader final : public WarmReader {
 public:
  GrpcWarmReader() = default;
  ~GrpcWarmReader() override;

  // Drops the channels of all others.
  void KeepOnly(const std::vector<std::string>& addresses) override { stubs_.KeepOnly(addresses); }
  void Read(const std::string& address, const std::string& name_space,
            const std::vector<std::string>& keys, const WarmReadOptions& options,
            std::function<void(WarmAnswer)> done) override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Stub = cache::v1::CacheService::Stub;
  struct Call;

  void Finish(std::shared_ptr<Call> call, const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  StubPool<cache::v1::CacheService> stubs_;
  absl::Mutex mu_;
  std::set<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mu_);  // On their way.
  int unfinished_ ABSL_GUARDED_BY(mu_) = 0;  // Calls whose callback has not ended.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_GRPC_WARM_READER_H_
