// PeerServiceHandlers is peer.v1.PeerService: batches that other nodes forward to the owner, this
// node.
//
// It never forwards again. A sender whose clock is more than 60 s ahead is refused with CLOCK_SKEW.
// Thread safety: gRPC calls the methods concurrently; nothing here blocks.

#ifndef MERIDIAN_SERVER_RPC_PEER_SERVICE_H_
#define MERIDIAN_SERVER_RPC_PEER_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "meridian/peer/v1/peer_service.grpc.pb.h"
#include "server/node/explain.h"
#include "server/node/hand_off.h"
#include "server/node/node_context.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"

namespace meridian {

class PeerServiceHandlers final : public peer::v1::PeerService::CallbackService {
 public:
  // Nothing is owned; everything outlives the gRPC server. `hand_off` takes what others hand over;
  // nullptr: nobody does.
  PeerServiceHandlers(const NodeContext& context, ReadPath& reads, WritePath& writes,
                      Explainer& explainer, HandOffTarget* hand_off = nullptr);

  // Batches that were forwarded here so far.
  uint64_t batches() const { return batches_.load(std::memory_order_relaxed); }

  grpc::ServerUnaryReactor* BatchGet(grpc::CallbackServerContext* context,
                                     const peer::v1::BatchGetRequest* request,
                                     peer::v1::BatchGetResponse* response) override;
  grpc::ServerUnaryReactor* BatchWrite(grpc::CallbackServerContext* context,
                                       const peer::v1::BatchWriteRequest* request,
                                       peer::v1::BatchWriteResponse* response) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const peer::v1::ExplainRequest* request,
                                    peer::v1::ExplainResponse* response) override;
  grpc::ServerUnaryReactor* Ping(grpc::CallbackServerContext* context,
                                 const peer::v1::PingRequest* request,
                                 peer::v1::PingResponse* response) override;
  grpc::ServerReadReactor<peer::v1::HandOffRequest>* HandOff(
      grpc::CallbackServerContext* context, peer::v1::HandOffResponse* response) override;
  grpc::ServerUnaryReactor* PushFence(grpc::CallbackServerContext* context,
                                      const peer::v1::PushFenceRequest* request,
                                      peer::v1::PushFenceResponse* response) override;
  grpc::ServerUnaryReactor* GetFence(grpc::CallbackServerContext* context,
                                     const peer::v1::GetFenceRequest* request,
                                     peer::v1::GetFenceResponse* response) override;

 private:
  void FillHeader(peer::v1::PeerHeader* header) const;
  // Adds the topology when the sender's is older.
  template <typename Response>
  void AddTopology(uint64_t sender_epoch, Response* response) const;

  const NodeContext& context_;
  ReadPath& reads_;
  WritePath& writes_;
  Explainer& explainer_;
  HandOffTarget* const hand_off_;
  std::atomic<uint64_t> batches_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_PEER_SERVICE_H_
