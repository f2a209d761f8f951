// GrpcOriginTransport is OriginTransport over gRPC: one channel for each origin, made when it is
// first asked, connected in the background.
//
// Promise: Shutdown, and the destructor, cancel what is under way and wait for its callbacks; later
//   calls fail at once.
// Thread safety: BatchLoad may be called concurrently.

#ifndef MERIDIAN_SERVER_ORIGIN_GRPC_ORIGIN_TRANSPORT_H_
#define MERIDIAN_SERVER_ORIGIN_GRPC_ORIGIN_TRANSPORT_H_

#include <grpcpp/generic/generic_stub.h>

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"  // SerializationTraits.
#include "server/origin/origin_transport.h"

namespace meridian {

class GrpcOriginTransport final : public OriginTransport {
 public:
  GrpcOriginTransport() = default;
  ~GrpcOriginTransport() override;

  void BatchLoad(const OriginTarget& target, origin::v1::BatchLoadRequest request,
                 absl::Time deadline, Callback callback) override ABSL_LOCKS_EXCLUDED(mu_);

  // Fails what is under way.
  void CancelAll() ABSL_LOCKS_EXCLUDED(mu_);
  void Shutdown() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Call;
  // Answers come as bytes: gRPC's own unary call says OK of a message that it could read in part.
  using Stub = grpc::TemplatedGenericStub<origin::v1::BatchLoadRequest, grpc::ByteBuffer>;

  // An unreadable CA file is an error each time: it may be there later.
  absl::StatusOr<std::shared_ptr<Stub>> StubFor(const OriginTarget& target)
      ABSL_LOCKS_EXCLUDED(mu_);
  void Ended(std::shared_ptr<Call> call) ABSL_LOCKS_EXCLUDED(mu_);

  absl::Mutex mu_;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
  std::map<OriginTarget, std::shared_ptr<Stub>> stubs_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_set<std::shared_ptr<Call>> calls_ ABSL_GUARDED_BY(mu_);
  std::vector<std::shared_ptr<Call>> ended_ ABSL_GUARDED_BY(mu_);  // Since the last one began.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ORIGIN_GRPC_ORIGIN_TRANSPORT_H_
