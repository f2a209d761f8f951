// RegisterStream is one node's life line: CoordinatorService.Register as a reactor.
//
// Every reaction is passed to the coordinator's executor, where all state lives; so gRPC's threads
// never wait, and there is no lock. A slow reader costs one pending answer: only the newest
// topology is kept for it.
// Lifetime: owns itself until gRPC is done with it.

#ifndef MERIDIAN_SERVER_COORDINATOR_REGISTER_STREAM_H_
#define MERIDIAN_SERVER_COORDINATOR_REGISTER_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <string>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_lead.h"
#include "server/coordinator/prediction_lead.h"
#include "server/coordinator/rollout_lead.h"

namespace meridian {

// UNAVAILABLE, NOT_LEADER, with the leader's address if it is known.
grpc::Status NotLeaderError(const Coordinator& coordinator);

class RegisterStream final : public grpc::ServerBidiReactor<coordinator::v1::RegisterRequest,
                                                            coordinator::v1::RegisterResponse>,
                             public Coordinator::Subscriber {
 public:
  static RegisterStream* Start(Coordinator& coordinator, HotKeyLead& hot_keys,
                               PredictionLead& prediction, RolloutLead& rollouts);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

  void OnTopology(const TopologyHolder::Snapshot& topology) override;
  void OnPlanned() override;
  void OnLeadershipLost() override;
  void OnPolicies(const Coordinator::Policies& policies) override;

 private:
  RegisterStream(Coordinator& coordinator, HotKeyLead& hot_keys, PredictionLead& prediction,
                 RolloutLead& rollouts)
      : coordinator_(coordinator),
        hot_keys_(hot_keys),
        prediction_(prediction),
        rollouts_(rollouts) {}

  void HandleRead(bool ok);
  grpc::Status CheckFirst() const;
  grpc::Status HandleRequest();
  void MaybeWrite();
  void FinishOnce(const grpc::Status& status);

  Coordinator& coordinator_;    // Not owned; outlives this.
  HotKeyLead& hot_keys_;        // Not owned; outlives this.
  PredictionLead& prediction_;  // Not owned; outlives this.
  RolloutLead& rollouts_;       // Not owned; outlives this.
  std::shared_ptr<RegisterStream> self_;
  coordinator::v1::RegisterRequest request_;
  coordinator::v1::RegisterResponse response_;
  std::string id_;  // Empty: not registered.
  uint64_t session_ = 0;
  uint64_t incarnation_ = 0;
  TopologyHolder::Snapshot pending_;  // Newest that was not sent; may be nullptr.
  uint64_t sent_epoch_ = 0;
  uint64_t sent_policies_ = 0;  // Revision that was sent, or that the node has.
  bool answer_due_ = false;
  bool writing_ = false;
  bool finished_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_REGISTER_STREAM_H_
