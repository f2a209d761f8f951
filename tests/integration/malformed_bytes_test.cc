// Bytes that are no message, and messages that are bombs, hurt nobody but their sender.

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"
#include "tests/support/wire_error.h"

namespace meridian {
namespace {

constexpr char kBatchGet[] = "/meridian.cache.v1.CacheService/BatchGet";
constexpr size_t kMiB = size_t{1} << 20;

class MalformedBytesTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start("n0");
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    channel_ = NewChannel(node_->data());
    stub_ = cache::v1::CacheService::NewStub(channel_);
  }
  void TearDown() override {
    if (node_ == nullptr) return;
    EXPECT_TRUE(node_->process().Running()) << "exit code " << node_->process().exit_code();
    EXPECT_TRUE(Serves());
  }

  grpc::Status Call(const std::string& method, const std::string& bytes) {
    grpc::GenericStub generic(channel_);
    grpc::ClientContext context;
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ByteBuffer response;
    grpc::Status status;
    absl::Notification done;
    generic.UnaryCall(&context, method, grpc::StubOptions(), &request, &response,
                      [&](grpc::Status result) {
                        status = std::move(result);
                        done.Notify();
                      });
    done.WaitForNotification();
    return status;
  }

  bool Serves() {
    cache::v1::SetRequest request;
    request.set_namespace_("task");
    request.mutable_entry()->set_key("sound");
    grpc::ClientContext context;
    cache::v1::SetResponse response;
    return stub_->Set(&context, request, &response).ok();
  }

  // Most memory that the node ever had, in bytes.
  size_t PeakMemory() const {
    std::ifstream status(absl::StrCat("/proc/", node_->process().pid(), "/status"));
    std::string word;
    size_t kib = 0;
    while (status >> word) {
      if (word == "VmHWM:") status >> kib;
    }
    return kib << 10;
  }

  static std::string ValidBatchGet() {
    cache::v1::BatchGetRequest request;
    request.mutable_header()->set_request_id("id");
    request.set_namespace_("task");
    request.add_keys("one");
    request.add_keys("two");
    request.mutable_options()->set_max_stale_ms(5);
    return request.SerializeAsString();
  }

  std::unique_ptr<TestNode> node_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<cache::v1::CacheService::Stub> stub_;
};

TEST_F(MalformedBytesTest, ABatchGetOfBytesThatAreNoMessageIsMalformed) {
  ASSERT_TRUE(Call(kBatchGet, ValidBatchGet()).ok()) << "the way of sending works";
  const std::string cases[] = {
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),  // A tag that never ends.
      std::string("\x1a\x05key", 5),                                    // Fewer bytes than said.
      std::string("\x1a\xff\xff\xff\xff\x7f", 6),                       // A length of 34 GB.
      std::string("\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11),  // A length of 2^64 - 1.
      std::string("\x0a\x02\xff\xff", 4),                               // A header that is none.
      std::string("\x22\x01\x08", 3),                                   // Options that are cut.
      std::string("\x1f", 1),                                           // A wire type that is none.
      std::string("\x00\x00", 2),                                       // Field 0.
      std::string("\x12", 1),                                           // A tag without a value.
  };
  for (size_t i = 0; i < std::size(cases); ++i) {
    EXPECT_THAT(Call(kBatchGet, cases[i]),
                IsWireError(grpc::StatusCode::INVALID_ARGUMENT, "MALFORMED_REQUEST", ""))
        << "case " << i;
  }
}

TEST_F(MalformedBytesTest, EveryCutOfAMessageIsAnsweredAndNothingBreaks) {
  const std::string whole = ValidBatchGet();
  for (size_t size = 0; size < whole.size(); ++size) {
    const grpc::Status status = Call(kBatchGet, whole.substr(0, size));
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
        << size << " bytes: " << status.error_code() << " " << status.error_message();
  }
}

TEST_F(MalformedBytesTest, RandomBytesNeverHurtAnyMethod) {
  constexpr uint32_t kSeed = 20240607;
  std::mt19937 random(kSeed);
  for (const char* method : {"Get", "BatchGet", "Set", "BatchSet", "Invalidate", "BatchInvalidate",
                             "Touch", "GetTopology"}) {
    for (int i = 0; i < 60; ++i) {
      std::string bytes = ValidBatchGet();
      if (i % 2 == 0) bytes.resize(random() % 200);
      for (char& c : bytes) {
        if (i % 2 == 0 || random() % 6 == 0) c = static_cast<char>(random());
      }
      const grpc::Status status =
          Call(absl::StrCat("/meridian.cache.v1.CacheService/", method), bytes);
      EXPECT_NE(status.error_code(), grpc::StatusCode::UNAVAILABLE)
          << method << " " << i << " seed " << kSeed << ": " << status.error_message();
    }
  }
}

TEST_F(MalformedBytesTest, ACompressedMessageIsRefusedBeforeItIsInflated) {
  cache::v1::SetRequest bomb;
  bomb.set_namespace_("task");
  bomb.mutable_entry()->set_key("bomb");
  bomb.mutable_entry()->set_value(std::string(39 * kMiB, '\0'));
  ASSERT_TRUE(Serves());
  const size_t before = PeakMemory();
  ASSERT_GT(before, 0u);
  for (const grpc_compression_algorithm algorithm : {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    cache::v1::SetResponse response;
    EXPECT_EQ(stub_->Set(&context, bomb, &response).error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
  EXPECT_LT(PeakMemory() - before, 20 * kMiB) << "it was inflated";
}

}  // namespace
}  // namespace meridian
