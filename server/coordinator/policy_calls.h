// The calls of CoordinatorService about policies and their rollouts: requests and errors of the
// wire on the one side, PolicyRollouts on the other.
//
// Thread safety: as the functions of PolicyRollouts, on its executor.

#ifndef MERIDIAN_SERVER_COORDINATOR_POLICY_CALLS_H_
#define MERIDIAN_SERVER_COORDINATOR_POLICY_CALLS_H_

#include <grpcpp/support/status.h>

#include <functional>
#include <utility>

#include "absl/status/statusor.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/rollout/policy_rollouts.h"

namespace meridian {

grpc::Status ListRollouts(const PolicyRollouts& rollouts,
                          const coordinator::v1::ListRolloutsRequest& request,
                          coordinator::v1::ListRolloutsResponse* response);

// What PolicyRollouts says: "FIELD_INVALID: yaml: policies:3: ..." names its field.
grpc::Status PolicyErrorOf(const absl::Status& status);

// Fills `message`, which outlives the call, and tells `done`.
template <typename Message>
auto AnswerTo(Message* message, std::function<void(const grpc::Status&)> done) {
  return [message, done = std::move(done)](absl::StatusOr<Message> answer) {
    if (!answer.ok()) return done(PolicyErrorOf(answer.status()));
    *message = *std::move(answer);
    done(grpc::Status::OK);
  };
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_POLICY_CALLS_H_
