// CacheServiceHandlers is cache.v1.CacheService on the wire: it checks the request, calls the read
// or the write path, and fills the answer. No caching rule lives here.
//
// Single calls turn an entry's error into the call's status; batches carry it in the entry. A batch
// as a whole is refused only for what concerns the whole: namespace, header, number and bytes.
// Thread safety: gRPC calls the methods concurrently; nothing here blocks.

#ifndef MERIDIAN_SERVER_RPC_CACHE_SERVICE_H_
#define MERIDIAN_SERVER_RPC_CACHE_SERVICE_H_

#include <memory>
#include <string>
#include <vector>

#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "server/node/fence_path.h"
#include "server/node/node_context.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"
#include "server/rpc/rpc_metrics.h"
#include "server/rpc/topology_stream.h"
#include "server/rpc/watch_streams.h"

namespace meridian {

class CacheServiceHandlers final : public cache::v1::CacheService::WithRawCallbackMethod_BatchGet<
                                       cache::v1::CacheService::WithRawCallbackMethod_Watch<
                                           cache::v1::CacheService::CallbackService>> {
 public:
  // Nothing is owned; everything outlives the gRPC server.
  CacheServiceHandlers(const NodeContext& context, ReadPath& reads, WritePath& writes,
                       FencePath& fences, TopologyStreams& topology_streams,
                       WatchStreams& watch_streams, RpcMetrics& metrics);

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context,
                                const cache::v1::GetRequest* request,
                                cache::v1::GetResponse* response) override;
  grpc::ServerUnaryReactor* BatchGet(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override;
  grpc::ServerUnaryReactor* Set(grpc::CallbackServerContext* context,
                                const cache::v1::SetRequest* request,
                                cache::v1::SetResponse* response) override;
  grpc::ServerUnaryReactor* BatchSet(grpc::CallbackServerContext* context,
                                     const cache::v1::BatchSetRequest* request,
                                     cache::v1::BatchSetResponse* response) override;
  grpc::ServerUnaryReactor* Invalidate(grpc::CallbackServerContext* context,
                                       const cache::v1::InvalidateRequest* request,
                                       cache::v1::InvalidateResponse* response) override;
  grpc::ServerUnaryReactor* BatchInvalidate(grpc::CallbackServerContext* context,
                                            const cache::v1::BatchInvalidateRequest* request,
                                            cache::v1::BatchInvalidateResponse* response) override;
  grpc::ServerUnaryReactor* Touch(grpc::CallbackServerContext* context,
                                  const cache::v1::TouchRequest* request,
                                  cache::v1::TouchResponse* response) override;
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext* context,
                                                    const grpc::ByteBuffer* request) override;
  grpc::ServerBidiReactor<cache::v1::PipeRequest, cache::v1::PipeResponse>* Pipe(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* GetTopology(grpc::CallbackServerContext* context,
                                        const cache::v1::GetTopologyRequest* request,
                                        cache::v1::GetTopologyResponse* response) override;
  grpc::ServerWriteReactor<cache::v1::WatchTopologyResponse>* WatchTopology(
      grpc::CallbackServerContext* context,
      const cache::v1::WatchTopologyRequest* request) override;

 private:
  class Call;
  class BatchGetCall;

  // Tells prediction what was asked for, when the caller is one of those who are sampled.
  void Sample(const cache::v1::RequestHeader& header, const Call& call) const;
  // What every answer says of itself.
  void FillHeader(const cache::v1::RequestHeader& request, cache::v1::ResponseHeader* header) const;
  // For callers that keep values: whether changes of all these keys are told here.
  uint64_t WatchIncarnation(const Call& call, const std::vector<ReadResult>& results) const;

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* WriteOne(std::shared_ptr<Call> call, const Request* request,
                                     Response* response);
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* WriteBatch(std::shared_ptr<Call> call, const Request* request,
                                       Response* response);

  // Of a key, and of what depends on it.
  grpc::ServerUnaryReactor* Cascade(std::shared_ptr<Call> call,
                                    const cache::v1::InvalidateRequest* request,
                                    cache::v1::InvalidateResponse* response);
  grpc::ServerUnaryReactor* PutFence(std::shared_ptr<Call> call, FenceRequest fence,
                                     const cache::v1::InvalidateRequest* request,
                                     cache::v1::InvalidateResponse* response);

  const NodeContext& context_;
  ReadPath& reads_;
  WritePath& writes_;
  FencePath& fences_;
  TopologyStreams& topology_streams_;
  WatchStreams& watch_streams_;
  RpcMetrics& metrics_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_RPC_CACHE_SERVICE_H_
