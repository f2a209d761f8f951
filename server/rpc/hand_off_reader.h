// HandOffReader is PeerService.HandOff at the receiver: one message at a time is checked, and given
// to whoever takes what is handed over; the next is read when that is done.
//
// Lifetime: deletes itself when gRPC is done with it. Cost: one message in memory.

#ifndef MERIDIAN_SERVER_RPC_HAND_OFF_READER_H_
#define MERIDIAN_SERVER_RPC_HAND_OFF_READER_H_

#include <grpcpp/support/server_callback.h>

#include <cstdint>

#include "common/base/clock.h"
#include "common/base/version.h"
#include "meridian/peer/v1/peer_service.pb.h"
#include "server/node/hand_off.h"

namespace meridian {

class HandOffReader final : public grpc::ServerReadReactor<peer::v1::HandOffRequest> {
 public:
  // `target`, `versions` and `clock` are not owned and outlive the gRPC server. A sender whose
  // clock is more than 60 s ahead is refused with CLOCK_SKEW.
  HandOffReader(HandOffTarget& target, HybridClock& versions, const Clock& clock,
                peer::v1::HandOffResponse* response);

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

 private:
  grpc::Status CheckRequest();

  HandOffTarget& target_;
  HybridClock& versions_;
  const Clock& clock_;
  peer::v1::HandOffResponse* const response_;
  peer::v1::HandOffRequest request_;
  uint64_t epoch_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_HAND_OFF_READER_H_
