// The way to an origin, against real gRPC servers: one that does as it should, and hostile ones.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "server/origin/grpc_origin_transport.h"
#include "server/origin/load_results.h"
#include "tests/support/raw_services.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace meridian {
namespace {

using origin::v1::BatchLoadRequest;
using origin::v1::BatchLoadResponse;
using testing::HasSubstr;

// Answers as the test says. An asynchronous server: gRPC's synchronous one is not safe to end as
// soon as it has answered.
class Service final : public origin::v1::OriginService::CallbackService {
 public:
  using Handler = std::function<grpc::Status(const BatchLoadRequest&, BatchLoadResponse*,
                                             grpc::CallbackServerContext*)>;
  explicit Service(Handler handler) : handler_(std::move(handler)) {}
  grpc::ServerUnaryReactor* BatchLoad(grpc::CallbackServerContext* context,
                                      const BatchLoadRequest* request,
                                      BatchLoadResponse* response) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(handler_(*request, response, context));
    return reactor;
  }

 private:
  const Handler handler_;
};

grpc::Status Echo(const BatchLoadRequest& request, BatchLoadResponse* response,
                  grpc::CallbackServerContext*) {
  for (const std::string& key : request.keys()) {
    origin::v1::LoadResult* result = response->add_results();
    result->set_key(key);
    result->set_status(origin::v1::LOAD_STATUS_FOUND);
    result->set_value(absl::StrCat(request.namespace_(), "/", key));
  }
  return grpc::Status::OK;
}

// The most memory that this process ever had.
long PeakKilobytes() {
  rusage usage{};
  EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
  return usage.ru_maxrss;
}

class OriginTransportTest : public testing::Test {
 protected:
  // Starts a server and returns its address.
  std::string Serve(
      const std::function<void(grpc::ServerBuilder*)>& add,
      std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials()) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", std::move(credentials), &port);
    add(&builder);
    server_ = builder.BuildAndStart();
    return absl::StrCat("localhost:", port);
  }
  std::string Serve(Service::Handler handler, std::shared_ptr<grpc::ServerCredentials> credentials =
                                                  grpc::InsecureServerCredentials()) {
    service_ = std::make_unique<Service>(std::move(handler));
    return Serve([this](grpc::ServerBuilder* builder) { builder->RegisterService(service_.get()); },
                 std::move(credentials));
  }
  static OriginTarget Plain(std::string address) { return {std::move(address), false, ""}; }
  OriginReply Load(const OriginTarget& target, absl::Duration timeout = absl::Seconds(5)) {
    BatchLoadRequest request;
    request.set_namespace_("task");
    request.add_keys("a");
    request.add_keys(std::string("\x00\xff", 2));
    OriginReply answer;
    absl::Notification done;
    transport_.BatchLoad(target, std::move(request), absl::Now() + timeout, [&](OriginReply reply) {
      answer = std::move(reply);
      done.Notify();
    });
    done.WaitForNotification();
    return answer;
  }

  std::unique_ptr<Service> service_;
  std::unique_ptr<grpc::Server> server_;
  GrpcOriginTransport transport_;  // Goes first: its calls end before the server does.
};

TEST_F(OriginTransportTest, LoadsWhatTheOriginAnswers) {
  const OriginReply answer = Load(Plain(Serve(Echo)));
  ASSERT_TRUE(answer.status.ok()) << answer.status;
  ASSERT_EQ(answer.response.results_size(), 2);
  EXPECT_EQ(answer.response.results(0).value(), "task/a");
  EXPECT_EQ(answer.response.results(1).key(), std::string("\x00\xff", 2));
}

TEST_F(OriginTransportTest, NobodyListensIsUnavailable) {
  EXPECT_EQ(Load(Plain("localhost:1")).status.code(), absl::StatusCode::kUnavailable);
}

TEST_F(OriginTransportTest, SilenceEndsAtTheDeadline) {
  SilentService silent;
  const std::string address = Serve([&silent](grpc::ServerBuilder* builder) {
    builder->RegisterCallbackGenericService(&silent);
  });
  const absl::Time began = absl::Now();
  EXPECT_EQ(Load(Plain(address), absl::Milliseconds(100)).status.code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - began, absl::Seconds(20));
  server_->Shutdown();
}

TEST_F(OriginTransportTest, TooMuchIsResourceExhaustedAndTheNextCallIsFine) {
  bool huge = true;
  const std::string address =
      Serve([&huge](const BatchLoadRequest& request, BatchLoadResponse* response,
                    grpc::CallbackServerContext* context) {
        if (!huge) return Echo(request, response, context);
        response->add_results()->set_value(std::string(OriginTransport::kMaxAnswerBytes + 1, 'x'));
        return grpc::Status::OK;
      });
  const OriginReply reply = Load(Plain(address));
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(reply.fault, AnswerFault::kTooLarge);
  huge = false;
  EXPECT_TRUE(Load(Plain(address)).status.ok());
}

TEST_F(OriginTransportTest, GarbageIsAnErrorAndNoAnswer) {
  RawService garbage;
  const std::string address = Serve([&garbage](grpc::ServerBuilder* builder) {
    builder->RegisterCallbackGenericService(&garbage);
  });
  const OriginReply answer = Load(Plain(address));
  EXPECT_FALSE(answer.status.ok());
  EXPECT_EQ(answer.response.results_size(), 0);
  server_->Shutdown();
}

TEST_F(OriginTransportTest, AnOriginThatIsOverloadedIsNotTakenForOneThatAnswersTooMuch) {
  const OriginReply reply = Load(
      Plain(Serve([](const BatchLoadRequest&, BatchLoadResponse*, grpc::CallbackServerContext*) {
        return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "too many connections");
      })));
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(reply.fault, AnswerFault::kNone);
}

// 18 million results of 2 bytes each, of which the parser would make more than 2 GB.
TEST_F(OriginTransportTest, AnAnswerThatWouldBeMuchMoreInMemoryIsNotParsed) {
  std::string bytes(OriginTransport::kMaxAnswerBytes - 2, '\x0a');
  for (size_t i = 1; i < bytes.size(); i += 2) bytes[i] = '\0';
  RawService raw(std::move(bytes));
  const std::string address = Serve(
      [&raw](grpc::ServerBuilder* builder) { builder->RegisterCallbackGenericService(&raw); });
  const long before = PeakKilobytes();
  const OriginReply reply = Load(Plain(address), absl::Seconds(20));
  EXPECT_EQ(reply.fault, AnswerFault::kTooManyFields) << reply.status;
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(reply.response.results_size(), 0);
  EXPECT_LT(PeakKilobytes() - before, 200 << 10) << "the answer is there a few times, no more";
  server_->Shutdown();
}

// Of few bytes compression makes many: gRPC bounds only the few.
TEST_F(OriginTransportTest, ACompressedAnswerIsRefusedAndNotInflated) {
  const std::string address = Serve([](const BatchLoadRequest&, BatchLoadResponse* response,
                                       grpc::CallbackServerContext* context) {
    context->set_compression_algorithm(GRPC_COMPRESS_GZIP);
    response->add_results()->set_value(std::string(30 << 20, 'x'));
    return grpc::Status::OK;
  });
  const OriginReply reply = Load(Plain(address), absl::Seconds(20));
  EXPECT_EQ(reply.status.code(), absl::StatusCode::kUnimplemented) << reply.status;
  EXPECT_EQ(reply.response.results_size(), 0);
}

TEST_F(OriginTransportTest, AServerThatIsNoOriginSaysSo) {
  cache::v1::CacheService::CallbackService other;
  const std::string address =
      Serve([&other](grpc::ServerBuilder* builder) { builder->RegisterService(&other); });
  EXPECT_EQ(Load(Plain(address)).status.code(), absl::StatusCode::kUnimplemented);
  server_->Shutdown();
}

TEST_F(OriginTransportTest, OverTlsOnlyWhoHasTheRightCertificateIsTalkedTo) {
  const TempDir dir;
  TestAuthority authority(dir.path(), "origin");
  const TestCertificate server = authority.Issue("server", "DNS:localhost");
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back(
      {ReadFile(server.key_file), ReadFile(server.certificate_file)});
  const std::string address = Serve(Echo, grpc::SslServerCredentials(options));
  EXPECT_TRUE(Load({address, true, authority.ca_file()}).status.ok());
  EXPECT_FALSE(Load({address, true, ""}).status.ok()) << "not known to the system";
  EXPECT_FALSE(Load({address, false, ""}).status.ok());
  EXPECT_THAT(Load({address, true, dir / "missing.pem"}).status.message(),
              HasSubstr("cannot read origin.ca_file"));
}

}  // namespace
}  // namespace meridian
