// Servers of any service that do not do as they should: one answers every call with the same bytes,
// whatever they are, one never answers.
//
// REQUIRES: the server has shut down before they go. Thread safety: used by gRPC alone.

#ifndef MERIDIAN_TESTS_SUPPORT_RAW_SERVICES_H_
#define MERIDIAN_TESTS_SUPPORT_RAW_SERVICES_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>

namespace meridian {

// A length that is none, for most messages.
inline constexpr char kGarbage[] = "\x0a\xff\xff\xff\x7f garbage";

class RawService final : public grpc::CallbackGenericService {
 public:
  explicit RawService(std::string bytes = kGarbage) : bytes_(std::move(bytes)) {}

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    class Reactor final : public grpc::ServerGenericBidiReactor {
     public:
      explicit Reactor(const std::string& bytes) : slice_(bytes), bytes_(&slice_, 1) {
        StartWriteAndFinish(&bytes_, grpc::WriteOptions(), grpc::Status::OK);
      }
      void OnDone() override { delete this; }

     private:
      grpc::Slice slice_;
      grpc::ByteBuffer bytes_;
    };
    return new Reactor(bytes_);
  }

  const std::string bytes_;
};

class SilentService final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    class Reactor final : public grpc::ServerGenericBidiReactor {
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    return new Reactor();
  }
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_RAW_SERVICES_H_
