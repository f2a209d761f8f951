#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/rpc/server_settings.h"

namespace meridian {
namespace {

// A call that owns the only channel of the process.
struct LastCall {
  std::shared_ptr<grpc::Channel> channel = CreateChannelTo("127.0.0.1:1");
  grpc::ClientContext context;
  grpc::Slice nothing;
  grpc::ByteBuffer request{&nothing, 1};
  grpc::ByteBuffer answer;
};

// Without KeepCallbackThreads, the thread of the first callback goes on in a queue that it has
// freed itself, and the process ends soon.
TEST(CallbackThreadsTest, TheLastChannelMayEndInACallback) {
  for (int i = 0; i < 20; ++i) {
    absl::Notification ended;
    auto call = std::make_shared<LastCall>();
    LastCall& last = *call;
    grpc::GenericStub(last.channel)
        .UnaryCall(&last.context, "/none", grpc::StubOptions(), &last.request, &last.answer,
                   [&ended, call = std::move(call)](const grpc::Status& status) mutable {
                     EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
                     call.reset();
                     ended.Notify();
                   });
    ended.WaitForNotification();
  }
}

}  // namespace
}  // namespace meridian
