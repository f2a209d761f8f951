// NewStub: a generated stub of a service at an address, for tests that look at the wire.

#ifndef MERIDIAN_TESTS_SUPPORT_STUB_H_
#define MERIDIAN_TESTS_SUPPORT_STUB_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

namespace meridian {

inline std::shared_ptr<grpc::Channel> NewChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 200);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

template <typename Service>
std::unique_ptr<typename Service::Stub> NewStub(const std::string& address) {
  return Service::NewStub(NewChannel(address));
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_STUB_H_
