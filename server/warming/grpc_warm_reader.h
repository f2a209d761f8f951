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
#include <string>
#include <utility>
#include <vector>

#include "common/rpc/pending_calls.h"
#include "common/rpc/stub_pool.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "server/warming/warm_reader.h"

namespace meridian {

class GrpcWarmReader final : public WarmReader {
 public:
  explicit GrpcWarmReader(ChannelSecurity security = {}) : stubs_(std::move(security)) {}

  // Drops the channels of all others.
  void KeepOnly(const std::vector<std::string>& addresses) override { stubs_.KeepOnly(addresses); }
  void Read(const std::string& address, const std::string& name_space,
            const std::vector<std::string>& keys, const WarmReadOptions& options,
            std::function<void(WarmAnswer)> done) override;

 private:
  using Stub = cache::v1::CacheService::Stub;
  struct Call;

  void Finish(std::shared_ptr<Call> call, const grpc::Status& status);

  StubPool<cache::v1::CacheService> stubs_;
  PendingCalls calls_;  // Ends first.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_GRPC_WARM_READER_H_
