// A real node on a real Redis whose policy changes the form of values and keys: what Redis holds,
// what clients get, and what happens when Redis' bytes are damaged.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "common/base/hash.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using calls::GetAll;
using calls::kSpace;
using calls::SetAll;
using testing::HasSubstr;

constexpr char kPolicies[] = R"(namespaces:
  task:
    compression: {enabled: true}
    key: {normalize: [trim, lowercase, collapse_spaces], hash: md5, hash_above: 40}
    bypass_parameters: [agent_filter]
)";

class ValueFormsTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "node.yaml", kPolicies);
    absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    absl::StatusOr<std::unique_ptr<TestNode>> node =
        TestNode::Start("n0", {"--config", dir_ / "node.yaml", "--redis", redis_->url()});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    stub_ = NewStub<cache::v1::CacheService>(node_->data());
  }

  static std::string Text() {
    std::string text;
    for (int i = 0; text.size() < 100'000; ++i) absl::StrAppend(&text, "persona ", i % 97, "; ");
    return text;
  }
  static std::string RedisKey(const std::string& key) {
    return absl::StrCat("m:{", SlotOf(kSpace, key), "}:e:", kSpace, ":", key);
  }
  // The reply, without the colon of a number.
  std::string Redis(const std::vector<std::string>& words) {
    const absl::StatusOr<std::string> reply = redis_->Command(words);
    EXPECT_TRUE(reply.ok()) << reply.status();
    const std::string text = reply.value_or("");
    return text.substr(text.starts_with(':') ? 1 : 0);
  }
  // The owner's L1 forgets the key, as when it was evicted.
  void Restart() {
    node_.reset();
    absl::StatusOr<std::unique_ptr<TestNode>> node =
        TestNode::Start("n0", {"--config", dir_ / "node.yaml", "--redis", redis_->url()});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    stub_ = NewStub<cache::v1::CacheService>(node_->data());
    // Until it knows all fences it serves nothing of Redis.
    EXPECT_TRUE(WaitUntil(
        [&] { return GetAll(*stub_, {"?"}).entries(0).status() != cache::v1::ENTRY_STATUS_ERROR; },
        absl::Seconds(20)));
  }

  const TempDir dir_;
  std::unique_ptr<RedisProcess> redis_;
  std::unique_ptr<TestNode> node_;
  std::unique_ptr<cache::v1::CacheService::Stub> stub_;
};

TEST_F(ValueFormsTest, ALargeValueIsSmallInRedisAndComesBackAsItWas) {
  const std::string value = Text();
  SetAll(*stub_, {"big"}, value);
  EXPECT_LT(std::stoi(Redis({"STRLEN", RedisKey("big")})), 20'000);
  EXPECT_EQ(GetAll(*stub_, {"big"}).entries(0).value(), value);
  Restart();
  const cache::v1::Entry entry = GetAll(*stub_, {"big"}).entries(0);
  EXPECT_EQ(entry.source(), cache::v1::SOURCE_L2);
  EXPECT_EQ(entry.encoding(), cache::v1::ENCODING_IDENTITY);
  EXPECT_EQ(entry.raw_size(), value.size());
  EXPECT_EQ(entry.value(), value);

  const auto client = Client::Create({.targets = {node_->data()}});
  ASSERT_TRUE(client.ok());
  const GetResult result = (*client)->Get(kSpace, "big", {{.timeout = absl::Seconds(10)}});
  EXPECT_TRUE(result.hit());
  EXPECT_EQ(result.value, value);
  const absl::StatusOr<HttpPage> page = HttpGet(node_->http(), "/metrics");
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(page->body, HasSubstr("meridian_compression_inflated_total{result=\"ok\","
                                    "namespace=\"task\"} 1\n"))
      << "the client inflates for itself";
}

TEST_F(ValueFormsTest, ADamagedValueInRedisIsDataLossOfItsEntryOnly) {
  const std::string value = Text();
  SetAll(*stub_, {"good", "bad"}, value);
  Redis({"SETRANGE", RedisKey("bad"), "500", "damaged"});
  Restart();
  const cache::v1::BatchGetResponse read = GetAll(*stub_, {"bad", "good"});
  EXPECT_EQ(read.entries(0).status(), cache::v1::ENTRY_STATUS_ERROR);
  EXPECT_EQ(read.entries(0).error().reason(), "CORRUPT_RECORD");
  EXPECT_EQ(read.entries(0).error().code(), static_cast<int>(grpc::StatusCode::DATA_LOSS));
  EXPECT_EQ(read.entries(1).value(), value);
  SetAll(*stub_, {"bad"}, value);
  EXPECT_EQ(GetAll(*stub_, {"bad"}).entries(0).value(), value) << "a write heals it";
}

TEST_F(ValueFormsTest, KeysAreCachedInTheirFormAndAnsweredInTheCallers) {
  const std::string question = "context:How many  WORDS does a question have before it is hashed?";
  SetAll(*stub_, {"  User:7 "}, "seven");
  SetAll(*stub_, {question}, "ten");
  EXPECT_EQ(Redis({"EXISTS", RedisKey("user:7")}), "1");
  const cache::v1::BatchGetResponse read =
      GetAll(*stub_, {"USER:7", "context:how many words does a question have before it is hashed?",
                      std::string(5000, 'k')});
  EXPECT_EQ(read.entries(0).value(), "seven");
  EXPECT_EQ(read.entries(1).value(), "ten");
  EXPECT_EQ(read.entries(2).status(), cache::v1::ENTRY_STATUS_MISS) << "hashed, so not too long";
}

TEST_F(ValueFormsTest, APrefixIsNamedAsClientsNameKeys) {
  SetAll(
      *stub_,
      {"Chat:User:7:a", "chat:user:7:how are you, all of you, in this long line?", "chat:user:8:a"},
      "x");
  cache::v1::InvalidateRequest request;
  request.set_namespace_(kSpace);
  const auto invalidate = [&](const std::string& prefix) {
    request.set_prefix(prefix);
    cache::v1::InvalidateResponse response;
    grpc::ClientContext context;
    return stub_->Invalidate(&context, request, &response);
  };
  EXPECT_TRUE(invalidate("CHAT:User:7:").ok());
  const cache::v1::BatchGetResponse read =
      GetAll(*stub_, {"Chat:User:7:a", "chat:user:7:how are you, all of you, in this long line?",
                      "Chat:User:8:a"});
  EXPECT_EQ(read.entries(0).status(), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_EQ(read.entries(1).status(), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_EQ(read.entries(2).value(), "x");
  const grpc::Status refused = invalidate("chat:user 7:");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("hashes"));
}

TEST_F(ValueFormsTest, Line3_09OperatorsNameKeysAsClientsDo) {
  const std::string question = "context:How many  WORDS does a question have before it is hashed?";
  SetAll(*stub_, {question, "user:7"}, "ten");
  const auto admin = NewStub<admin::v1::AdminService>(node_->admin());
  const auto explain = [&](const std::string& key, bool as_cached = false) {
    admin::v1::ExplainKeyRequest request;
    request.mutable_key()->set_as_cached(as_cached);
    request.mutable_key()->set_namespace_(kSpace);
    request.mutable_key()->set_key(key);
    admin::v1::ExplainKeyResponse response;
    grpc::ClientContext context;
    const grpc::Status status = admin->ExplainKey(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  };
  // What L1 held of a slot goes when the node begins to follow it, soon after its start.
  const auto in_every_tier = [&] {
    GetAll(*stub_, {question});
    const admin::v1::ExplainKeyResponse seen = explain(question);
    return std::all_of(seen.tiers().begin(), seen.tiers().end(),
                       [](const auto& tier) { return tier.state() == "value"; });
  };
  EXPECT_TRUE(WaitUntil(in_every_tier, absl::Seconds(10)));
  const admin::v1::ExplainKeyResponse formed = explain(question);
  EXPECT_THAT(formed.cached_key(), testing::MatchesRegex("context:[0-9a-f]{32}"));
  EXPECT_EQ(formed.slot(), SlotOf(kSpace, formed.cached_key()));
  EXPECT_EQ(formed.l2_key(), RedisKey(formed.cached_key()));
  EXPECT_EQ(Redis({"EXISTS", formed.l2_key()}), "1");
  EXPECT_FALSE(formed.bypassed());
  ASSERT_EQ(formed.tiers_size(), 2);
  const admin::v1::ExplainKeyResponse seen = explain(formed.cached_key(), true);
  EXPECT_EQ(seen.l2_key(), formed.l2_key());
  EXPECT_EQ(seen.cached_key(), "");
  EXPECT_EQ(seen.tiers(1).state(), "value");
  EXPECT_EQ(explain("user:7").cached_key(), "") << "it is cached as it is";
  EXPECT_EQ(explain(" USER:7").cached_key(), "user:7");
  EXPECT_EQ(explain(std::string(5000, 'k')).tiers(1).state(), "absent")
      << "hashed, so not too long";
  EXPECT_TRUE(explain("list:7?agent_filter=x").bypassed());
  EXPECT_FALSE(explain("list:7?page=2").bypassed());

  admin::v1::InvalidateKeyRequest invalidate;
  invalidate.mutable_key()->set_namespace_(kSpace);
  invalidate.mutable_key()->set_key(question);
  admin::v1::InvalidateKeyResponse response;
  grpc::ClientContext context;
  ASSERT_TRUE(admin->InvalidateKey(&context, invalidate, &response).ok());
  EXPECT_EQ(GetAll(*stub_, {question}).entries(0).status(), cache::v1::ENTRY_STATUS_MISS);

  const auto ctl = [&](const std::string& key) {
    return RunCommand(
               {ProgramPath("meridianctl"), "explain", kSpace, key, "--admin", node_->admin()},
               absl::Seconds(30))
        .out;
  };
  EXPECT_THAT(ctl("USER:7"), HasSubstr("\ncached  user:7\n"));
  EXPECT_THAT(ctl("user:7"), testing::Not(HasSubstr("cached")));
  EXPECT_THAT(ctl("list:7?agent_filter=x"), HasSubstr("\nbypass  yes"));
  EXPECT_THAT(ctl("user:7"), testing::Not(HasSubstr("bypass")));
}

TEST_F(ValueFormsTest, AKeyThatIsNotToBeCachedIsAMissAndItsSetSaysSo) {
  const cache::v1::BatchSetResponse set =
      SetAll(*stub_, {"list:7?agent_filter=x", "list:7?page=2"}, "v");
  EXPECT_EQ(set.results(0).status(), cache::v1::ENTRY_STATUS_BYPASSED);
  EXPECT_EQ(set.results(1).status(), cache::v1::ENTRY_STATUS_OK);
  const cache::v1::BatchGetResponse read =
      GetAll(*stub_, {"list:7?agent_filter=x", "list:7?page=2"});
  EXPECT_EQ(read.entries(0).status(), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_EQ(read.entries(1).value(), "v");
  const auto client = Client::Create({.targets = {node_->data()}});
  ASSERT_TRUE(client.ok());
  SetOptions options;
  options.timeout = absl::Seconds(10);
  EXPECT_EQ((*client)->Set(kSpace, "k?agent_filter", "v", options).status, ResultStatus::kBypassed);
  EXPECT_FALSE((*client)->Get(kSpace, "k?agent_filter").hit());
}

}  // namespace
}  // namespace meridian
