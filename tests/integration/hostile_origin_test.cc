// A real node whose origins answer whatever they must not: callers see a clear error of the key
// that it is about, and nothing else suffers.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/client.h"
#include "meridian/origin/v1/origin_service.grpc.pb.h"
#include "tests/support/http_page.h"
#include "tests/support/raw_services.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"

namespace meridian {
namespace {

using origin::v1::BatchLoadRequest;
using origin::v1::BatchLoadResponse;
using origin::v1::LoadResult;
using testing::HasSubstr;

// What it does to a key is the key's name.
class HostileOrigin final : public origin::v1::OriginService::Service {
 public:
  std::atomic<int> keys{0};

 private:
  static LoadResult* Add(BatchLoadResponse* response, const std::string& key,
                         const std::string& value) {
    LoadResult* result = response->add_results();
    result->set_key(key);
    result->set_status(origin::v1::LOAD_STATUS_FOUND);
    result->set_value(value);
    return result;
  }

  grpc::Status BatchLoad(grpc::ServerContext* context, const BatchLoadRequest* request,
                         BatchLoadResponse* response) override {
    keys += request->keys_size();
    for (const std::string& key : request->keys()) {
      if (key == "late") {
        while (!context->IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
      } else if (key == "nothing") {
        continue;
      } else if (key == "another") {
        Add(response, "never asked for", "x");
      } else if (key == "twice") {
        Add(response, key, "first");
        Add(response, key, "second");
      } else if (key == "much") {
        Add(response, key, std::string((8 << 20) + 1, 'x'));
      } else if (absl::StartsWith(key, "large")) {
        Add(response, key, std::string(7 << 20, 'x'));
      } else if (key == "ttl") {
        Add(response, key, "x")->set_ttl_ms(UINT64_MAX);
      } else if (key == "tag") {
        Add(response, key, "x")->add_tags("");
      } else if (key == "status") {
        Add(response, key, "x")->set_status(static_cast<origin::v1::LoadStatus>(77));
      } else if (key == "fails") {
        LoadResult* result = Add(response, key, "x");
        result->set_status(origin::v1::LOAD_STATUS_ERROR);
        result->set_error("deadlock found\n");
      } else {
        Add(response, key, "value of " + key);
      }
    }
    return grpc::Status::OK;
  }
};

class HostileOriginTest : public testing::Test {
 protected:
  void StartNode(const std::string& policies) {
    WriteFile(dir_ / "policies.yaml", policies);
    absl::StatusOr<std::unique_ptr<TestNode>> node =
        TestNode::Start("n0", {"--policies", dir_ / "policies.yaml"});
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = *std::move(node);
    auto client = Client::Create({.targets = {node_->data()}, .get_timeout = absl::Seconds(5)});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
    ASSERT_TRUE(client_->WaitUntilReady(absl::Seconds(10)).ok());
  }
  // The values, "miss", or "REASON message".
  std::vector<std::string> Read(const std::vector<std::string_view>& keys,
                                const std::string& name_space = "task") {
    std::vector<std::string> shown;
    GetOptions options;
    options.timeout = absl::Seconds(5);
    for (const GetResult& result : client_->BatchGet(name_space, keys, options)) {
      shown.push_back(result.hit() ? result.value
                      : result.error == nullptr
                          ? "miss"
                          : absl::StrCat(result.error->reason, " ", result.error->message));
    }
    return shown;
  }
  double Metric(const std::string& name, std::vector<std::string> labels = {}) {
    labels.push_back("namespace=\"task\"");
    return FetchMetric(node_->http(), name, labels);
  }

  const TempDir dir_;
  std::unique_ptr<TestNode> node_;
  std::unique_ptr<Client> client_;
};

TEST_F(HostileOriginTest, EveryBadAnswerIsAnErrorOfItsKeyAndTheOthersHaveTheirValues) {
  HostileOrigin origin;
  RawService garbage;
  std::string results;  // Millions of empty ones.
  while (results.size() < 4 << 20) results.append("\x0a\x00", 2);
  RawService flood(std::move(results));
  const auto serve = [](auto add) {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxSendMessageSize(-1);
    add(builder);
    std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    return std::pair(std::move(server), absl::StrCat("127.0.0.1:", port));
  };
  const auto [server, address] =
      serve([&](grpc::ServerBuilder& builder) { builder.RegisterService(&origin); });
  const auto [other, nonsense] = serve(
      [&](grpc::ServerBuilder& builder) { builder.RegisterCallbackGenericService(&garbage); });
  const auto [third, flooding] = serve(
      [&](grpc::ServerBuilder& builder) { builder.RegisterCallbackGenericService(&flood); });
  ASSERT_NO_FATAL_FAILURE(StartNode(
      absl::StrCat("namespaces:\n", "  task: {origin: {address: \"", address, "\", timeout: 2s}}\n",
                   "  slow: {origin: {address: \"", address, "\", timeout: 200ms}}\n",
                   "  garbage: {origin: {address: \"", nonsense, "\"}}\n",
                   "  flood: {origin: {address: \"", flooding, "\"}}\n")));
  ASSERT_EQ(Read({"good"}), std::vector<std::string>{"value of good"});

  const std::vector<std::string> answers = Read(
      {"good", "nothing", "another", "twice", "much", "ttl", "tag", "status", "fails", "fine"});
  EXPECT_EQ(answers[0], "value of good");
  EXPECT_THAT(answers[1],
              HasSubstr("ORIGIN_INVALID the origin's answer has no result for the key"));
  EXPECT_THAT(answers[2],
              HasSubstr("ORIGIN_INVALID the origin's answer has no result for the key"));
  EXPECT_THAT(answers[3],
              HasSubstr("ORIGIN_INVALID the origin's answer has 2 results for the key"));
  EXPECT_THAT(answers[4], HasSubstr("ORIGIN_INVALID the origin gave a value of 8388609 bytes"));
  EXPECT_THAT(answers[5], HasSubstr("ORIGIN_INVALID the origin gave a TTL of"));
  EXPECT_THAT(answers[6], HasSubstr("ORIGIN_INVALID the origin gave a tag of 0 bytes"));
  EXPECT_THAT(answers[7], HasSubstr("ORIGIN_ERROR"));
  EXPECT_THAT(answers[8], HasSubstr("ORIGIN_ERROR the origin could not load the key: "));
  EXPECT_THAT(answers[8], HasSubstr("deadlock found"));
  EXPECT_EQ(answers[9], "value of fine");
  EXPECT_EQ(Metric("meridian_origin_ignored_results_total"), 2) << "twice, and never asked for";

  // Together they are more than a message may carry: asked for again in halves.
  const int before = origin.keys;
  GetOptions headers;
  headers.timeout = absl::Seconds(5);
  headers.omit_value = true;
  const std::vector<std::string_view> large = {"large 1", "large 2", "large 3",
                                               "large 4", "large 5", "large 6"};
  for (const GetResult& result : client_->BatchGet("task", large, headers)) {
    EXPECT_TRUE(result.hit()) << result.error->message;
  }
  EXPECT_EQ(origin.keys - before, 6 + 3 + 3);

  EXPECT_THAT(Read({"late"}, "slow")[0], HasSubstr("ORIGIN_TIMEOUT"));
  EXPECT_EQ(Read({"good"}, "slow")[0], "value of good");
  EXPECT_THAT(Read({"k"}, "garbage")[0], HasSubstr("ORIGIN_ERROR"));
  EXPECT_THAT(Read({"k"}, "flood")[0], HasSubstr("ORIGIN_INVALID"));

  // Nothing of that was kept, and the origin's end takes no hit down.
  EXPECT_EQ(Read({"good"})[0], "value of good");
  server->Shutdown(std::chrono::system_clock::now());
  other->Shutdown(std::chrono::system_clock::now());
  third->Shutdown(std::chrono::system_clock::now());
  for (int i = 0; i < 50; ++i) {
    const std::vector<std::string> mixed = Read({"good", "new"});
    EXPECT_EQ(mixed[0], "value of good");
    EXPECT_THAT(mixed[1], HasSubstr("ORIGIN_UNAVAILABLE"));
  }
}

}  // namespace
}  // namespace meridian
