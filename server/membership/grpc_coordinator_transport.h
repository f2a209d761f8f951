// GrpcCoordinatorTransport is CoordinatorTransport over gRPC's callback API.
//
// Cost: one channel for each address, kept. Thread safety: all methods may be called concurrently.
// The destructor cancels what is open and waits until every event has been given.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_GRPC_COORDINATOR_TRANSPORT_H_
#define MERIDIAN_SERVER_MEMBERSHIP_GRPC_COORDINATOR_TRANSPORT_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/tls.h"
#include "server/membership/coordinator_transport.h"

namespace meridian {

class GrpcCoordinatorTransport final : public CoordinatorTransport {
 public:
  explicit GrpcCoordinatorTransport(ChannelSecurity security = {});
  ~GrpcCoordinatorTransport() override;

  std::unique_ptr<CoordinatorStream> Open(const std::string& address, Events events) override;
  void AcquireTicket(const std::string& address, const std::string& node, absl::Duration timeout,
                     TicketCallback done) override;
  void GiveTicketBack(const std::string& address, const std::string& node, absl::Duration timeout,
                      std::function<void(absl::Status)> done) override;
  void ReportUpdates(const std::string& address, const UpdateLog::Batch& updates,
                     absl::Duration timeout, UpdateCallback done) override;

 private:
  class Call;
  class Stream;

  struct TicketCall;
  void CallForTicket(const std::string& address, const std::string& node, bool give_back,
                     absl::Duration timeout, TicketCallback done);
  struct UpdateCall;

  const std::shared_ptr<grpc::Channel>& ChannelTo(const std::string& address)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Forget(Call* call) ABSL_LOCKS_EXCLUDED(mu_);
  void Forget(grpc::ClientContext* unary) ABSL_LOCKS_EXCLUDED(mu_);

  const ChannelSecurity security_;
  absl::Mutex mu_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ ABSL_GUARDED_BY(mu_);
  std::set<Call*> calls_ ABSL_GUARDED_BY(mu_);                 // Not done yet.
  std::set<grpc::ClientContext*> unary_ ABSL_GUARDED_BY(mu_);  // Likewise, of calls of one answer.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_GRPC_COORDINATOR_TRANSPORT_H_
