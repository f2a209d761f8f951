// Reactors for calls that end at once with an error: refused, or not built yet.

#ifndef MERIDIAN_COMMON_RPC_FAILED_REACTORS_H_
#define MERIDIAN_COMMON_RPC_FAILED_REACTORS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <string>
#include <string_view>

#include "common/rpc/error.h"

namespace meridian {

// UNIMPLEMENTED, reason NOT_BUILT.
inline grpc::Status NotBuiltStatus(std::string_view what) {
  return MakeError(grpc::StatusCode::UNIMPLEMENTED, reason::kNotBuilt,
                   std::string(what) + " is not built yet");
}

// A unary call that fails with `status`.
inline grpc::ServerUnaryReactor* FailUnary(grpc::CallbackServerContext* context,
                                           const grpc::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(status);
  return reactor;
}

// A server stream that fails. Deletes itself.
template <typename Response>
class FailedWriter final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit FailedWriter(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// A client stream that fails. Deletes itself.
template <typename Request>
class FailedReader final : public grpc::ServerReadReactor<Request> {
 public:
  explicit FailedReader(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

// A two-way stream that fails. Deletes itself.
template <typename Request, typename Response>
class FailedBidi final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit FailedBidi(const grpc::Status& status) { this->Finish(status); }
  void OnDone() override { delete this; }
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_FAILED_REACTORS_H_
