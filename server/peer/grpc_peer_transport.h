// GrpcPeerTransport reaches other nodes through PeerService, one channel a peer address.
//
// Every call carries the epoch, this node's clock, and a deadline. A reply's clock is merged.
// Channels of addresses that left the topology are dropped by Forget.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_PEER_GRPC_PEER_TRANSPORT_H_
#define MERIDIAN_SERVER_PEER_GRPC_PEER_TRANSPORT_H_

#include <grpcpp/client_context.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "common/rpc/tls.h"
#include "meridian/peer/v1/peer_service.grpc.pb.h"
#include "server/node/clock_guard.h"
#include "server/node/hand_off.h"
#include "server/node/peer_transport.h"

namespace meridian {

class GrpcPeerTransport final : public PeerTransport, public HandOffTransport {
 public:
  // Nothing is owned; all outlive every callback. `clock_guard` is told the clocks of others, as
  // their replies show them.
  GrpcPeerTransport(std::string node_id, HybridClock& versions, const Clock& clock,
                    ClockGuard& clock_guard, ChannelSecurity security = {});
  // Waits until every callback has run: calls end by their deadlines.
  ~GrpcPeerTransport() override;

  void Read(const Member& to, const PeerRead& request, absl::Time deadline,
            ReadReplyCallback callback) override;
  void Write(const Member& to, const PeerWrite& request, absl::Time deadline,
             WriteReplyCallback callback) override;
  void Explain(const Member& to, std::string_view name_space, std::string_view key, Tiers tiers,
               absl::Time deadline, ExplainReplyCallback callback) override;
  void Ping(const Member& to, uint64_t epoch, absl::Time deadline,
            AnswerCallback callback) override;
  void PushFence(const Member& to, uint64_t epoch, const Fence& fence, absl::Time deadline,
                 AnswerCallback callback) override;
  void GetFence(const Member& to, const Fence& fence, absl::Time deadline,
                ClockCallback callback) override;
  void HandOff(const Member& to, uint64_t epoch, std::vector<HandOffItem> items,
               absl::Time deadline, HandOffDone done) override;

  // Drops the channels of addresses that `topology` does not name and cancels the calls to them:
  // who waits for a node that is gone goes around it now.
  void Forget(const Topology& topology) ABSL_LOCKS_EXCLUDED(mu_);

  // Cancels every call: the node is stopping, and a frozen peer must not hold it up.
  void CancelAll() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Stub = peer::v1::PeerService::Stub;
  class HandOffCall;

  std::shared_ptr<Stub> StubFor(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);
  void FillHeader(uint64_t epoch, std::string_view request_id, peer::v1::PeerHeader* header);
  using Context = std::shared_ptr<grpc::ClientContext>;  // Shares the life of its call.

  void Began(const std::string& address, Context context) ABSL_LOCKS_EXCLUDED(mu_);
  void Ended(grpc::ClientContext* context) ABSL_LOCKS_EXCLUDED(mu_);
  // Ends a call from its callback. What the call holds of its channel goes before it is counted as
  // ended: a last channel that dies on a callback thread of gRPC 1.51 waits for that very thread.
  template <typename Call>
  void Release(std::shared_ptr<Call>* call, std::shared_ptr<Stub>* stub);

  // The steady clock of who listens there, as its last answer to a hand-off showed it, and what it
  // shows now, or a little less; 0: not known. In milliseconds.
  void NoteSteady(const std::string& address, uint64_t steady_ms) ABSL_LOCKS_EXCLUDED(mu_);
  uint64_t SteadyOf(const std::string& address) ABSL_LOCKS_EXCLUDED(mu_);

  // Once a second is enough of what every reply says of its sender's clock.
  void NoteClock(const peer::v1::PeerHeader& header, absl::Duration sent);

  const std::string node_id_;
  HybridClock& versions_;
  const Clock& clock_;
  ClockGuard& clock_guard_;
  const ChannelSecurity security_;
  std::atomic<int64_t> next_clock_note_ms_{0};  // Monotonic.
  absl::Mutex mu_;
  absl::flat_hash_map<std::string, std::shared_ptr<Stub>> stubs_ ABSL_GUARDED_BY(mu_);
  // How far the steady clocks of others are ahead of this node's, by address.
  absl::flat_hash_map<std::string, absl::Duration> steady_ahead_ ABSL_GUARDED_BY(mu_);
  int calls_ ABSL_GUARDED_BY(mu_) = 0;
  // Calls that can be cancelled, with the address that they went to.
  absl::flat_hash_map<grpc::ClientContext*, std::pair<std::string, Context>> live_
      ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_PEER_GRPC_PEER_TRANSPORT_H_
