// A coordinator and two nodes with TLS: who comes in, who does not, and what a renewal costs.

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "client/cpp/client.h"
#include "common/rpc/server_settings.h"
#include "common/rpc/tls.h"
#include "grpc/health/v1/health.pb.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "meridian/peer/v1/peer_service.grpc.pb.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kLimit = absl::Seconds(30);
constexpr char kNames[] = "DNS:localhost,IP:127.0.0.1";

class TlsCallTest : public testing::Test {
 protected:
  void SetUp() override {
    Renew("first", kNames);
    const std::vector<std::string> tls = Flags();
    ChildOptions child;
    child.words = {ProgramPath("meridian-coordinator"),
                   "--grpc-address",
                   "127.0.0.1:0",
                   "--http-address",
                   "127.0.0.1:0",
                   "--ready-file",
                   dir_ / "ready"};
    child.words.insert(child.words.end(), tls.begin(), tls.end());
    child.stdout_path = child.stderr_path = dir_ / "coordinator.log";
    auto coordinator = ChildProcess::Start(child);
    ASSERT_TRUE(coordinator.ok()) << coordinator.status();
    coordinator_ = *std::move(coordinator);
    nlohmann::json ready;
    ASSERT_TRUE(WaitUntil(
        [&] {
          ready = nlohmann::json::parse(ReadFile(dir_ / "ready"), nullptr, false);
          return ready.is_object();
        },
        kLimit))
        << ReadFile(dir_ / "coordinator.log");
    coordinator_address_ = ready["grpc"];
    health_address_ = FreeAddress();
    for (const char* id : {"n1", "n2"}) {
      std::vector<std::string> flags = tls;
      flags.insert(flags.end(), {"--coordinators", coordinator_address_});
      if (nodes_.empty()) flags.insert(flags.end(), {"--health-address", health_address_});
      auto node = TestNode::Start(id, flags);
      ASSERT_TRUE(node.ok()) << node.status();
      nodes_.push_back(*std::move(node));
    }
    ASSERT_TRUE(WaitUntil([&] { return MembersKnownToNodes() == 2; }, kLimit));
  }

  // As the kubelet does: all files change at once, with a link.
  void Renew(const std::string& name, const std::string& names) {
    const std::filesystem::path folder = dir_ / name;
    std::filesystem::create_directory(folder);
    const TestCertificate issued = authority_.Issue(name, names);
    std::filesystem::copy(issued.certificate_file, folder / "tls.crt");
    std::filesystem::copy(issued.key_file, folder / "tls.key");
    std::filesystem::copy(authority_.ca_file(), folder / "ca.crt");
    std::filesystem::create_directory_symlink(folder, dir_ / "next");
    std::filesystem::rename(dir_ / "next", dir_ / "live");
  }

  TlsFiles Files() const {
    return {dir_ / "live/tls.crt", dir_ / "live/tls.key", dir_ / "live/ca.crt", ""};
  }
  std::vector<std::string> Flags() const {
    const TlsFiles files = Files();
    return {"--tls-cert", files.certificate, "--tls-key", files.key, "--tls-ca", files.authorities};
  }
  // Trusts the cluster, and shows nothing.
  TlsFiles Nameless() const { return {"", "", authority_.ca_file(), ""}; }
  // Trusts the cluster, and shows what another authority has signed.
  TlsFiles Stranger() {
    const TestCertificate issued = other_authority_.Issue("stranger", kNames);
    return {issued.certificate_file, issued.key_file, authority_.ca_file(), ""};
  }

  std::unique_ptr<Client> NewClient(const TlsFiles& tls) const {
    ClientOptions options;
    options.targets = {nodes_[0]->data()};
    options.tls = tls;
    options.get_timeout = options.set_timeout = absl::Seconds(5);
    auto client = Client::Create(options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  // What `method` of `Service` at `address` answers to an empty request.
  template <typename Service, typename Request, typename Response, typename Method>
  static grpc::Status Ask(const std::string& address, const TlsFiles& tls, Method method) {
    const auto stub = Service::NewStub(CreateChannelTo(address, ChannelSecurityOf(tls)));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(5)));
    Request request;
    Response response;
    return ((*stub).*method)(&context, request, &response);
  }
  static grpc::Status AskAdmin(const std::string& address, const TlsFiles& tls) {
    using admin::v1::AdminService;
    return Ask<AdminService, admin::v1::GetStatusRequest, admin::v1::GetStatusResponse>(
        address, tls, &AdminService::Stub::GetStatus);
  }
  static grpc::Status AskCoordinator(const std::string& address, const TlsFiles& tls) {
    using coordinator::v1::CoordinatorService;
    return Ask<CoordinatorService, coordinator::v1::GetStatusRequest,
               coordinator::v1::GetStatusResponse>(address, tls,
                                                   &CoordinatorService::Stub::GetStatus);
  }
  static grpc::Status AskPeer(const std::string& address, const TlsFiles& tls) {
    using peer::v1::PeerService;
    return Ask<PeerService, peer::v1::PingRequest, peer::v1::PingResponse>(
        address, tls, &PeerService::Stub::Ping);
  }

  int MembersKnownToNodes() const {
    int least = 100;
    for (const auto& node : nodes_) {
      const auto stub = admin::v1::AdminService::NewStub(
          CreateChannelTo(node->admin(), ChannelSecurityOf(Files())));
      grpc::ClientContext context;
      admin::v1::GetRingResponse ring;
      if (!stub->GetRing(&context, {}, &ring).ok()) return 0;
      least = std::min(least, ring.members_size());
    }
    return least;
  }

  CommandResult Ctl(std::vector<std::string> words, const std::vector<std::string>& tls) const {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--target", nodes_[0]->data(), "--timeout", "3s"});
    words.insert(words.end(), tls.begin(), tls.end());
    return RunCommand(words);
  }

  const TempDir dir_;
  TestAuthority authority_{dir_.path(), "own"};
  TestAuthority other_authority_{dir_.path(), "other"};
  std::unique_ptr<ChildProcess> coordinator_;
  std::string coordinator_address_;
  std::string health_address_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
};

TEST_F(TlsCallTest, ValuesGoThroughClientsAndPeers) {
  const auto client = NewClient(Files());
  ASSERT_TRUE(client->WaitUntilReady(kLimit).ok());
  // One node is asked for all: half of them are the other's.
  const auto stub = cache::v1::CacheService::NewStub(
      CreateChannelTo(nodes_[0]->data(), ChannelSecurityOf(Files())));
  for (int i = 0; i < 32; ++i) {
    const std::string key = absl::StrCat("key-", i);
    const WriteResult written = client->Set("session", key, "value");
    ASSERT_TRUE(written.ok()) << written.error->message;
    grpc::ClientContext context;
    cache::v1::GetRequest request;
    cache::v1::GetResponse response;
    request.set_namespace_("session");
    request.set_key(key);
    const grpc::Status status = stub->Get(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.entry().value(), "value");
  }
}

TEST_F(TlsCallTest, OnlyWhomTheAuthorityHasSignedComesIn) {
  const std::string admin = nodes_[0]->admin();
  const std::string peer = nodes_[0]->peer();
  EXPECT_TRUE(AskAdmin(admin, Files()).ok());
  EXPECT_TRUE(AskCoordinator(coordinator_address_, Files()).ok());
  EXPECT_NE(AskPeer(peer, Files()).error_code(), grpc::StatusCode::UNAVAILABLE);
  for (const TlsFiles& tls : {TlsFiles(), Nameless(), Stranger()}) {
    SCOPED_TRACE(tls.certificate);
    EXPECT_EQ(AskAdmin(admin, tls).error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(AskPeer(peer, tls).error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(AskCoordinator(coordinator_address_, tls).error_code(),
              grpc::StatusCode::UNAVAILABLE);
    const GetResult got = NewClient(tls)->Get("session", "k");
    ASSERT_NE(got.error, nullptr);
    EXPECT_EQ(got.error->code, absl::StatusCode::kUnavailable);
  }
}

TEST_F(TlsCallTest, AClientDoesNotTrustAnotherAuthorityOrName) {
  TlsFiles wrong = Files();
  wrong.authorities = other_authority_.ca_file();
  EXPECT_EQ(AskAdmin(nodes_[0]->admin(), wrong).error_code(), grpc::StatusCode::UNAVAILABLE);
  TlsFiles renamed = Files();
  renamed.server_name = "elsewhere.test";
  EXPECT_EQ(AskAdmin(nodes_[0]->admin(), renamed).error_code(), grpc::StatusCode::UNAVAILABLE);
  renamed.server_name = "localhost";
  EXPECT_TRUE(AskAdmin(nodes_[0]->admin(), renamed).ok());
}

TEST_F(TlsCallTest, ClientsNeedNoCertificateWhereItIsSaid) {
  std::vector<std::string> flags = Flags();
  flags.insert(flags.end(), {"--tls-client-auth", "none"});
  auto node = TestNode::Start("alone", flags);
  ASSERT_TRUE(node.ok()) << node.status();
  ClientOptions options;
  options.targets = {(*node)->data()};
  options.tls = Nameless();
  const auto client = *Client::Create(options);
  ASSERT_TRUE(client->WaitUntilReady(kLimit).ok());
  EXPECT_EQ(AskAdmin((*node)->admin(), Nameless()).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsCallTest, ProbesFindHealthInPlaintextAndNothingElse) {
  using grpc::health::v1::HealthCheckRequest;
  using grpc::health::v1::HealthCheckResponse;
  grpc::TemplatedGenericStub<HealthCheckRequest, HealthCheckResponse> health(
      CreateChannelTo(health_address_));
  for (const char* service : {"", kLiveService}) {
    grpc::ClientContext context;
    HealthCheckRequest request;
    HealthCheckResponse response;
    request.set_service(service);
    grpc::Status status;
    absl::Notification answered;
    health.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                     [&](grpc::Status answer) {
                       status = std::move(answer);
                       answered.Notify();
                     });
    answered.WaitForNotification();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.status(), HealthCheckResponse::SERVING) << service;
  }
  EXPECT_EQ(AskAdmin(health_address_, {}).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(TlsCallTest, ARenewedCertificateIsShownWithoutAFailedCall) {
  const auto client = NewClient(Files());
  ASSERT_TRUE(client->WaitUntilReady(kLimit).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  std::atomic<int> failed{0};
  std::thread load([&] {
    while (!stop) {
      const std::string key = absl::StrCat("key-", ++calls % 100);
      if (!client->Set("session", key, "v").ok() || !client->Get("session", key).hit()) ++failed;
    }
  });
  TlsFiles renewed = Files();
  renewed.server_name = "renewed.test";
  EXPECT_FALSE(AskAdmin(nodes_[0]->admin(), renewed).ok());
  Renew("second", absl::StrCat(kNames, ",DNS:renewed.test"));
  for (const auto& node : nodes_) {
    EXPECT_TRUE(WaitUntil([&] { return AskAdmin(node->admin(), renewed).ok(); }, kLimit));
  }
  EXPECT_TRUE(
      WaitUntil([&] { return AskCoordinator(coordinator_address_, renewed).ok(); }, kLimit));
  EXPECT_TRUE(NewClient(renewed)->WaitUntilReady(kLimit).ok());
  stop = true;
  load.join();
  EXPECT_GT(calls, 0);
  EXPECT_EQ(failed, 0);
}

TEST_F(TlsCallTest, TheCommandLineSpeaksIt) {
  const CommandResult doctor = Ctl({"doctor"}, Flags());
  EXPECT_THAT(doctor.out, HasSubstr("n2"));
  EXPECT_THAT(doctor.out, Not(HasSubstr("[plaintext]")));
  const CommandResult ring = Ctl({"ring"}, Flags());
  EXPECT_EQ(ring.exit_code, 0) << ring.err;
  EXPECT_EQ(Ctl({"ring"}, {}).exit_code, 5);
}

TEST_F(TlsCallTest, WhatIsOfNoUseIsRefusedAtTheStart) {
  const TlsFiles good = Files();
  const TestCertificate other = authority_.Issue("spare", kNames);
  const TestCertificate expired = authority_.Issue("old", kNames, -absl::Minutes(1));
  const auto refused = [&](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {"", "--check-config"};
    words.insert(words.end(), flags.begin(), flags.end());
    std::string text;
    for (const char* program : {"meridian-node", "meridian-coordinator"}) {
      words[0] = ProgramPath(program);
      const CommandResult result = RunCommand(words);
      EXPECT_EQ(result.exit_code, 2) << result.err;
      text += result.err;
    }
    return text;
  };
  EXPECT_THAT(refused({"--tls-cert", good.certificate}), HasSubstr("--tls-key is missing"));
  EXPECT_THAT(refused({"--tls-cert", good.certificate, "--tls-key", good.key}),
              HasSubstr("--tls-ca is missing"));
  const auto with = [&](const std::string& certificate, const std::string& key) {
    return refused({"--tls-cert", certificate, "--tls-key", key, "--tls-ca", good.authorities});
  };
  EXPECT_THAT(with("/nowhere", good.key), HasSubstr("No such file or directory"));
  EXPECT_THAT(with(good.key, good.key), HasSubstr("cannot be used"));
  EXPECT_THAT(with(good.certificate, other.key_file), HasSubstr("key values mismatch"));
  EXPECT_THAT(with(expired.certificate_file, expired.key_file), HasSubstr("has expired"));
}

}  // namespace
}  // namespace meridian
