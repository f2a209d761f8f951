// WatchStream is CoordinatorService.WatchTopology as a reactor: the current topology, then every
// newer one. See RegisterStream: the same executor, no lock, and a slow reader gets only the
// newest.
// Lifetime: owns itself until gRPC is done with it.

#ifndef MERIDIAN_SERVER_COORDINATOR_WATCH_STREAM_H_
#define MERIDIAN_SERVER_COORDINATOR_WATCH_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/coordinator.h"

namespace meridian {

class WatchStream final : public grpc::ServerWriteReactor<coordinator::v1::WatchTopologyResponse>,
                          public Coordinator::Subscriber {
 public:
  static WatchStream* Start(Coordinator& coordinator, uint64_t known_epoch);

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  void OnTopology(const TopologyHolder::Snapshot& topology) override;
  void OnLeadershipLost() override;

 private:
  WatchStream(Coordinator& coordinator, uint64_t known_epoch)
      : coordinator_(coordinator), sent_epoch_(known_epoch) {}

  void Begin();
  void MaybeWrite();
  void FinishOnce(const grpc::Status& status);

  Coordinator& coordinator_;  // Not owned; outlives this.
  std::shared_ptr<WatchStream> self_;
  coordinator::v1::WatchTopologyResponse response_;
  TopologyHolder::Snapshot pending_;  // Newest that was not sent; may be nullptr.
  uint64_t sent_epoch_;
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_WATCH_STREAM_H_
