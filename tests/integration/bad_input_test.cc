// What breaks a limit is refused with its code, reason and field, and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"
#include "tests/support/wire_error.h"

namespace meridian {
namespace {

using grpc::StatusCode::INVALID_ARGUMENT;
using grpc::StatusCode::UNIMPLEMENTED;

constexpr size_t kMiB = size_t{1} << 20;
constexpr uint64_t kYearMs = 365ull * 24 * 3600 * 1000;
const char kSpace[] = "task";

class BadInputTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    absl::StatusOr<std::unique_ptr<TestNode>> node =
        TestNode::Start("n0", {"--redis", redis_->url(), "--l2-timeout", "10s"});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    node_ = *std::move(node);
    stub_ = NewStub<cache::v1::CacheService>(node_->data());
  }
  static void TearDownTestSuite() {
    stub_.reset();
    node_.reset();
    redis_.reset();
  }
  void SetUp() override { ASSERT_NE(stub_, nullptr); }

  static grpc::Status Set(const cache::v1::SetRequest& request,
                          cache::v1::SetResponse* response = nullptr) {
    grpc::ClientContext context;
    cache::v1::SetResponse unused;
    return stub_->Set(&context, request, response == nullptr ? &unused : response);
  }
  static cache::v1::SetRequest SetOf(const std::string& key, const std::string& value = "v") {
    cache::v1::SetRequest request;
    request.set_namespace_(kSpace);
    request.mutable_entry()->set_key(key);
    request.mutable_entry()->set_value(value);
    return request;
  }
  static grpc::Status Get(const std::string& name_space, const std::string& key,
                          cache::v1::Entry* entry) {
    grpc::ClientContext context;
    cache::v1::GetRequest request;
    request.set_namespace_(name_space);
    request.set_key(key);
    cache::v1::GetResponse response;
    const grpc::Status status = stub_->Get(&context, request, &response);
    *entry = response.entry();
    return status;
  }
  static cache::v1::EntryStatus StatusOf(const std::string& key) {
    cache::v1::Entry entry;
    const grpc::Status status = Get(kSpace, key, &entry);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return entry.status();
  }
  // Sends an entry that is refused, alone and as the second of a batch.
  static void ExpectRefused(const cache::v1::SetRequest& request, grpc::StatusCode code,
                            const std::string& reason, const std::string& field) {
    EXPECT_THAT(Set(request), IsWireError(code, reason, "entry." + field));
    cache::v1::BatchSetRequest batch;
    batch.set_namespace_(kSpace);
    batch.add_entries()->set_key("good neighbour");
    *batch.add_entries() = request.entry();
    grpc::ClientContext context;
    cache::v1::BatchSetResponse response;
    const grpc::Status status = stub_->BatchSet(&context, batch, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_EQ(response.results_size(), 2);
    EXPECT_EQ(response.results(0).status(), cache::v1::ENTRY_STATUS_OK);
    EXPECT_EQ(response.results(1).status(), cache::v1::ENTRY_STATUS_ERROR);
    EXPECT_THAT(response.results(1).error(), IsWireError(code, reason, "entries[1]." + field));
    const std::string& key = request.entry().key();
    if (!key.empty() && key.size() <= 1024) {
      EXPECT_EQ(StatusOf(key), cache::v1::ENTRY_STATUS_MISS) << "it was stored";
    }
  }

  static inline std::unique_ptr<RedisProcess> redis_;
  static inline std::unique_ptr<TestNode> node_;
  static inline std::unique_ptr<cache::v1::CacheService::Stub> stub_;
};

TEST_F(BadInputTest, ANamespaceHasOneTo64CharactersOfItsAlphabet) {
  for (const std::string& good : {std::string("a"), std::string(64, 'z'), std::string("a-b_c.9")}) {
    cache::v1::SetRequest request = SetOf("key");
    request.set_namespace_(good);
    EXPECT_TRUE(Set(request).ok()) << good;
  }
  for (const std::string& bad : {std::string(), std::string(65, 'z'), std::string("Task"),
                                 std::string("a b"), std::string("a:b"), std::string("a\0b", 3),
                                 std::string("\xC3\xA4"), std::string("a/b"), std::string("*")}) {
    SCOPED_TRACE(bad);
    const auto refused = IsWireError(INVALID_ARGUMENT, "NAMESPACE_INVALID", "namespace");
    cache::v1::SetRequest request = SetOf("key");
    request.set_namespace_(bad);
    EXPECT_THAT(Set(request), refused);
    cache::v1::Entry entry;
    EXPECT_THAT(Get(bad, "key", &entry), refused);
    grpc::ClientContext context;
    cache::v1::BatchGetRequest batch;
    batch.set_namespace_(bad);
    batch.add_keys("key");
    cache::v1::BatchGetResponse response;
    EXPECT_THAT(stub_->BatchGet(&context, batch, &response), refused);
  }
}

// A client that could write there could stop replication (`cut:us:eu`), or hide that it stands
// still.
TEST_F(BadInputTest, OnlyNodesWriteIntoTheNamespaceOfTheNodes) {
  const std::string space = "_meridian";
  const auto refused = IsWireError(INVALID_ARGUMENT, "NAMESPACE_RESERVED", "namespace");
  const std::string key = "cut:local:eu";
  cache::v1::SetRequest set = SetOf(key);
  set.set_namespace_(space);
  EXPECT_THAT(Set(set), refused);
  {
    grpc::ClientContext context;
    cache::v1::BatchSetRequest request;
    request.set_namespace_(space);
    *request.add_entries() = set.entry();
    cache::v1::BatchSetResponse response;
    EXPECT_THAT(stub_->BatchSet(&context, request, &response), refused);
  }
  {
    grpc::ClientContext context;
    cache::v1::InvalidateRequest request;
    request.set_namespace_(space);
    request.set_key(key);
    cache::v1::InvalidateResponse response;
    EXPECT_THAT(stub_->Invalidate(&context, request, &response), refused);
  }
  {
    grpc::ClientContext context;
    cache::v1::BatchInvalidateRequest request;
    request.set_namespace_(space);
    request.add_keys(key);
    cache::v1::BatchInvalidateResponse response;
    EXPECT_THAT(stub_->BatchInvalidate(&context, request, &response), refused);
  }
  {
    grpc::ClientContext context;
    cache::v1::TouchRequest request;
    request.set_namespace_(space);
    request.set_key(key);
    cache::v1::TouchResponse response;
    EXPECT_THAT(stub_->Touch(&context, request, &response), refused);
  }
  {
    grpc::ClientContext context;
    admin::v1::InvalidateKeyRequest request;
    request.mutable_key()->set_namespace_(space);
    request.mutable_key()->set_key(key);
    admin::v1::InvalidateKeyResponse response;
    EXPECT_THAT(NewStub<admin::v1::AdminService>(node_->admin())
                    ->InvalidateKey(&context, request, &response),
                IsWireError(INVALID_ARGUMENT, "NAMESPACE_RESERVED", "key.namespace"));
  }
  cache::v1::Entry entry;  // Looking is allowed, and nothing was stored.
  EXPECT_TRUE(Get(space, key, &entry).ok());
  EXPECT_EQ(entry.status(), cache::v1::ENTRY_STATUS_MISS);
}

TEST_F(BadInputTest, AKeyHasOneTo1024BytesOfAnyKind) {
  std::string binary;
  for (int i = 0; i < 256; ++i) binary.push_back(static_cast<char>(i));
  for (const std::string& good :
       {std::string("k"), std::string(1024, 'k'), binary, std::string(1, '\0'), std::string("{}"),
        std::string("m:{7}:e:")}) {
    ASSERT_TRUE(Set(SetOf(good, "value of " + good)).ok());
    cache::v1::Entry entry;
    ASSERT_TRUE(Get(kSpace, good, &entry).ok());
    EXPECT_EQ(entry.value(), "value of " + good);
  }
  ExpectRefused(SetOf(""), INVALID_ARGUMENT, "KEY_EMPTY", "key");
  ExpectRefused(SetOf(std::string(1025, 'k')), INVALID_ARGUMENT, "KEY_TOO_LONG", "key");
  cache::v1::Entry entry;
  EXPECT_THAT(Get(kSpace, "", &entry), IsWireError(INVALID_ARGUMENT, "KEY_EMPTY", "key"));
  EXPECT_THAT(Get(kSpace, std::string(1025, 'k'), &entry),
              IsWireError(INVALID_ARGUMENT, "KEY_TOO_LONG", "key"));
}

TEST_F(BadInputTest, ABadKeyOfABatchGetFailsAloneAtItsPlace) {
  ASSERT_TRUE(Set(SetOf("here", "1")).ok());
  cache::v1::BatchGetRequest request;
  request.set_namespace_(kSpace);
  for (const std::string& key : {std::string("here"), std::string(), std::string("not here"),
                                 std::string(1025, 'k'), std::string("here")}) {
    request.add_keys(key);
  }
  grpc::ClientContext context;
  cache::v1::BatchGetResponse response;
  ASSERT_TRUE(stub_->BatchGet(&context, request, &response).ok());
  ASSERT_EQ(response.entries_size(), 5);
  EXPECT_EQ(response.entries(0).value(), "1");
  EXPECT_THAT(response.entries(1).error(), IsWireError(INVALID_ARGUMENT, "KEY_EMPTY", "keys[1]"));
  EXPECT_EQ(response.entries(2).status(), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_THAT(response.entries(3).error(),
              IsWireError(INVALID_ARGUMENT, "KEY_TOO_LONG", "keys[3]"));
  EXPECT_EQ(response.entries(4).value(), "1");
}

// gRPC keeps small messages, when several arrive together, in the slice itself instead of behind
// it.
TEST_F(BadInputTest, ManySmallBatchGetsAtOnceAreUnderstood) {
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 8; ++caller) {
    callers.emplace_back([&wrong] {
      for (size_t i = 0; i < 500; ++i) {
        grpc::ClientContext context;
        cache::v1::BatchGetRequest request;
        request.set_namespace_("s");
        request.add_keys(std::string(1 + i % 20, 'q'));
        cache::v1::BatchGetResponse response;
        const grpc::Status status = stub_->BatchGet(&context, request, &response);
        const bool miss = status.ok() && response.entries_size() == 1 &&
                          response.entries(0).status() == cache::v1::ENTRY_STATUS_MISS;
        if (!miss) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(BadInputTest, AValueHasAtMost8MiB) {
  ASSERT_TRUE(Set(SetOf("empty", "")).ok());
  EXPECT_EQ(StatusOf("empty"), cache::v1::ENTRY_STATUS_OK);
  std::string largest(8 * kMiB, 'x');
  largest.front() = 'a';
  largest.back() = 'z';
  const grpc::Status stored = Set(SetOf("largest", largest));
  ASSERT_TRUE(stored.ok()) << stored.error_message();
  cache::v1::Entry entry;
  ASSERT_TRUE(Get(kSpace, "largest", &entry).ok());
  EXPECT_TRUE(entry.value() == largest) << entry.value().size() << " bytes came back";
  ExpectRefused(SetOf("too large", std::string(8 * kMiB + 1, 'x')), INVALID_ARGUMENT,
                "VALUE_TOO_LARGE", "value");
}

TEST_F(BadInputTest, ABatchHasOneTo1000EntriesAndAtMost32MiB) {
  const auto batch_set = [](int entries, size_t value_bytes,
                            cache::v1::BatchSetResponse* response) {
    cache::v1::BatchSetRequest request;
    request.set_namespace_(kSpace);
    for (int i = 0; i < entries; ++i) {
      cache::v1::SetEntry* entry = request.add_entries();
      entry->set_key(absl::StrCat("batch:", value_bytes, ":", i));
      entry->set_value(std::string(value_bytes, 'v'));
    }
    grpc::ClientContext context;
    return stub_->BatchSet(&context, request, response);
  };
  cache::v1::BatchSetResponse response;
  EXPECT_THAT(batch_set(0, 1, &response), IsWireError(INVALID_ARGUMENT, "BATCH_EMPTY", "entries"));
  ASSERT_TRUE(batch_set(1000, 1, &response).ok());
  for (const cache::v1::WriteResult& result : response.results()) {
    EXPECT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK) << result.error().message();
  }
  EXPECT_THAT(batch_set(1001, 2, &response),
              IsWireError(INVALID_ARGUMENT, "BATCH_TOO_LARGE", "entries"));
  EXPECT_EQ(StatusOf("batch:2:0"), cache::v1::ENTRY_STATUS_MISS);
  EXPECT_THAT(batch_set(5, 8 * kMiB - kMiB, &response),
              IsWireError(INVALID_ARGUMENT, "BATCH_TOO_LARGE", "entries"));
  EXPECT_EQ(StatusOf(absl::StrCat("batch:", 7 * kMiB, ":0")), cache::v1::ENTRY_STATUS_MISS);

  const auto batch_get = [](int keys) {
    cache::v1::BatchGetRequest request;
    request.set_namespace_(kSpace);
    for (int i = 0; i < keys; ++i) request.add_keys(absl::StrCat("batch:1:", i));
    grpc::ClientContext context;
    cache::v1::BatchGetResponse got;
    const grpc::Status status = stub_->BatchGet(&context, request, &got);
    for (const cache::v1::Entry& entry : got.entries()) EXPECT_EQ(entry.value(), "v");
    EXPECT_EQ(got.entries_size(), status.ok() ? keys : 0);
    return status;
  };
  EXPECT_THAT(batch_get(0), IsWireError(INVALID_ARGUMENT, "BATCH_EMPTY", "keys"));
  EXPECT_TRUE(batch_get(1000).ok());
  EXPECT_THAT(batch_get(1001), IsWireError(INVALID_ARGUMENT, "BATCH_TOO_LARGE", "keys"));
}

TEST_F(BadInputTest, AMessageThatIsTooLargeForAnyBatchIsRefusedAsAWhole) {
  cache::v1::BatchSetRequest request;
  request.set_namespace_(kSpace);
  for (int i = 0; i < 6; ++i) {
    request.add_entries()->set_key(absl::StrCat("huge:", i));
    request.mutable_entries(i)->set_value(std::string(8 * kMiB, 'v'));
  }
  grpc::ClientContext context;
  cache::v1::BatchSetResponse response;
  EXPECT_EQ(stub_->BatchSet(&context, request, &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(StatusOf("huge:0"), cache::v1::ENTRY_STATUS_MISS);
}

TEST_F(BadInputTest, AnEntryHasAtMost32TagsOfOneTo256Bytes) {
  cache::v1::SetRequest good = SetOf("tagged");
  for (int i = 0; i < 32; ++i) {
    std::string tag = absl::StrCat(i);
    tag.resize(256, 't');
    good.mutable_entry()->add_tags(tag);
  }
  EXPECT_TRUE(Set(good).ok());

  cache::v1::SetRequest many = SetOf("many tags");
  for (int i = 0; i < 33; ++i) many.mutable_entry()->add_tags(absl::StrCat("t", i));
  ExpectRefused(many, INVALID_ARGUMENT, "TOO_MANY_TAGS", "tags");

  cache::v1::SetRequest empty = SetOf("empty tag");
  empty.mutable_entry()->add_tags("fine");
  empty.mutable_entry()->add_tags("");
  ExpectRefused(empty, INVALID_ARGUMENT, "TAG_INVALID", "tags[1]");

  cache::v1::SetRequest lengthy = SetOf("long tag");
  lengthy.mutable_entry()->add_tags(std::string(257, 't'));
  ExpectRefused(lengthy, INVALID_ARGUMENT, "TAG_INVALID", "tags[0]");
}

TEST_F(BadInputTest, ATtlIsOneMillisecondToOneYear) {
  const auto with_ttl = [](const std::string& key, uint64_t ttl_ms) {
    cache::v1::SetRequest request = SetOf(key);
    request.mutable_entry()->set_ttl_ms(ttl_ms);
    return request;
  };
  ASSERT_TRUE(Set(with_ttl("default life", 0)).ok());
  cache::v1::Entry entry;
  ASSERT_TRUE(Get(kSpace, "default life", &entry).ok());
  EXPECT_GT(entry.ttl_ms(), 0u) << "nothing lives for ever";
  EXPECT_LE(entry.ttl_ms(), kYearMs);
  EXPECT_TRUE(Set(with_ttl("shortest life", 1)).ok());
  ASSERT_TRUE(Set(with_ttl("longest life", kYearMs)).ok());
  ASSERT_TRUE(Get(kSpace, "longest life", &entry).ok());
  EXPECT_GT(entry.ttl_ms(), kYearMs - 60'000);
  for (const uint64_t bad : {kYearMs + 1, uint64_t{1} << 63, ~uint64_t{0}}) {
    ExpectRefused(with_ttl("no life", bad), INVALID_ARGUMENT, "TTL_OUT_OF_RANGE", "ttl_ms");
    grpc::ClientContext context;
    cache::v1::TouchRequest touch;
    touch.set_namespace_(kSpace);
    touch.set_key("longest life");
    touch.set_ttl_ms(bad);
    cache::v1::TouchResponse response;
    EXPECT_THAT(stub_->Touch(&context, touch, &response),
                IsWireError(INVALID_ARGUMENT, "TTL_OUT_OF_RANGE", "ttl_ms"));
  }
}

TEST_F(BadInputTest, ARequestIdHasAtMost64Bytes) {
  cache::v1::SetRequest request = SetOf("with id");
  request.mutable_header()->set_request_id(std::string(64, 'i'));
  cache::v1::SetResponse response;
  ASSERT_TRUE(Set(request, &response).ok());
  EXPECT_EQ(response.header().request_id(), request.header().request_id());
  EXPECT_EQ(response.header().node(), "n0");
  request.mutable_header()->set_request_id(std::string(65, 'i'));
  request.mutable_entry()->set_key("with long id");
  EXPECT_THAT(Set(request),
              IsWireError(INVALID_ARGUMENT, "REQUEST_ID_TOO_LONG", "header.request_id"));
  EXPECT_EQ(StatusOf("with long id"), cache::v1::ENTRY_STATUS_MISS);
}

TEST_F(BadInputTest, AConditionMustMakeSense) {
  cache::v1::SetRequest none = SetOf("condition");
  none.mutable_entry()->mutable_expected_version();
  ExpectRefused(none, INVALID_ARGUMENT, "CONDITION_INVALID", "expected_version");

  cache::v1::SetRequest region = SetOf("condition");
  region.mutable_entry()->mutable_expected_version()->set_hlc(1);
  region.mutable_entry()->mutable_expected_version()->set_region(0x10000);
  ExpectRefused(region, INVALID_ARGUMENT, "CONDITION_INVALID", "expected_version");

  cache::v1::SetRequest both = SetOf("condition");
  both.mutable_entry()->mutable_expected_version()->set_hlc(1);
  both.mutable_entry()->set_if_absent(true);
  ExpectRefused(both, INVALID_ARGUMENT, "CONDITION_INVALID", "expected_version");

  // A version that nobody gave is no nonsense: it does not hold.
  cache::v1::SetRequest future = SetOf("condition");
  future.mutable_entry()->mutable_expected_version()->set_hlc(~uint64_t{0});
  cache::v1::SetResponse response;
  ASSERT_TRUE(Set(future, &response).ok());
  EXPECT_EQ(response.result().status(), cache::v1::ENTRY_STATUS_CONFLICT);
  EXPECT_FALSE(response.result().has_version());
  EXPECT_EQ(StatusOf("condition"), cache::v1::ENTRY_STATUS_MISS);

  cache::v1::SetRequest hint = SetOf("condition");
  hint.mutable_entry()->set_state_hint(std::string(65, 'h'));
  ExpectRefused(hint, INVALID_ARGUMENT, "FIELD_INVALID", "state_hint");
}

TEST_F(BadInputTest, ALeaseThatIsNone) {
  cache::v1::SetRequest lease = SetOf("leased");
  lease.mutable_entry()->set_lease("token");
  ExpectRefused(lease, INVALID_ARGUMENT, "LEASE_INVALID", "lease");
  lease.mutable_entry()->set_if_absent(true);
  ExpectRefused(lease, INVALID_ARGUMENT, "CONDITION_INVALID", "lease");
}

TEST_F(BadInputTest, ALeaseThatIsToEndWithoutAValueMustBeOneAndHaveNone) {
  cache::v1::SetRequest none;
  none.set_namespace_(kSpace);
  none.mutable_entry()->set_key("leased");
  none.mutable_entry()->set_absent(true);
  ExpectRefused(none, INVALID_ARGUMENT, "CONDITION_INVALID", "absent");
  none.mutable_entry()->set_absent(false);
  none.mutable_entry()->set_give_back(true);
  ExpectRefused(none, INVALID_ARGUMENT, "CONDITION_INVALID", "give_back");
  none.mutable_entry()->set_lease("token");
  ExpectRefused(none, INVALID_ARGUMENT, "LEASE_INVALID", "lease");
  none.mutable_entry()->set_absent(true);
  ExpectRefused(none, INVALID_ARGUMENT, "CONDITION_INVALID", "give_back");

  cache::v1::SetRequest more = none;
  more.mutable_entry()->set_absent(false);
  more.mutable_entry()->add_depends_on("tag:t");
  ExpectRefused(more, INVALID_ARGUMENT, "FIELD_INVALID", "depends_on");
  more.mutable_entry()->add_tags("t");
  ExpectRefused(more, INVALID_ARGUMENT, "FIELD_INVALID", "tags");
  more.mutable_entry()->set_give_back(false);
  more.mutable_entry()->set_absent(true);
  ExpectRefused(more, INVALID_ARGUMENT, "LEASE_INVALID", "lease");
  more.mutable_entry()->set_state_hint("done");
  ExpectRefused(more, INVALID_ARGUMENT, "FIELD_INVALID", "state_hint");
  more.mutable_entry()->set_ttl_ms(1);
  ExpectRefused(more, INVALID_ARGUMENT, "FIELD_INVALID", "ttl_ms");
  more.mutable_entry()->set_value("v");
  ExpectRefused(more, INVALID_ARGUMENT, "FIELD_INVALID", "value");
}

TEST_F(BadInputTest, WhatIsNotBuiltSaysSo) {
  grpc::ClientContext pipe_context;
  const auto pipe = stub_->Pipe(&pipe_context);
  cache::v1::PipeResponse reply;
  EXPECT_FALSE(pipe->Read(&reply));
  EXPECT_THAT(pipe->Finish(), IsWireError(UNIMPLEMENTED, "NOT_BUILT", ""));
}

TEST_F(BadInputTest, DependenciesThatAreNone) {
  for (const std::string& bad :
       {std::string(), std::string("other"), std::string("key:"), std::string("tag:"),
        std::string("KEY:k"), "key:" + std::string(1025, 'k'), "tag:" + std::string(257, 't')}) {
    cache::v1::SetRequest depends = SetOf("depends");
    depends.mutable_entry()->add_depends_on("key:fine");
    depends.mutable_entry()->add_depends_on(bad);
    ExpectRefused(depends, INVALID_ARGUMENT, "DEPENDENCY_INVALID", "depends_on[1]");
  }
  cache::v1::SetRequest many = SetOf("depends");
  for (int i = 0; i < 33; ++i) many.mutable_entry()->add_depends_on("key:k");
  ExpectRefused(many, INVALID_ARGUMENT, "DEPENDENCY_INVALID", "depends_on");
}

TEST_F(BadInputTest, AnInvalidationThatNamesNothing) {
  ASSERT_TRUE(Set(SetOf("task:1")).ok());
  cache::v1::InvalidateRequest invalidate;
  invalidate.set_namespace_(kSpace);
  const auto send = [&invalidate] {
    grpc::ClientContext context;
    cache::v1::InvalidateResponse response;
    return stub_->Invalidate(&context, invalidate, &response);
  };
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "TARGET_MISSING", "target"));
  invalidate.set_tag("");
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "TAG_INVALID", "tag"));
  invalidate.set_tag(std::string(257, 't'));
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "TAG_INVALID", "tag"));
  invalidate.set_prefix("");
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "KEY_EMPTY", "prefix"));
  invalidate.set_prefix("task");
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "PREFIX_INVALID", "prefix"));
  invalidate.set_prefix(std::string(33, ':'));
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "PREFIX_INVALID", "prefix"));
  invalidate.set_prefix(std::string(1024, 'a') + ":");
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "KEY_TOO_LONG", "prefix"));
  invalidate.set_all(false);
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "FIELD_INVALID", "all"));
  invalidate.set_namespace_("_meridian.fence");
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "NAMESPACE_RESERVED", "namespace"));
  invalidate.set_namespace_(kSpace);
  invalidate.set_prefix("task:");
  invalidate.set_cascade(true);
  EXPECT_THAT(send(), IsWireError(INVALID_ARGUMENT, "FIELD_INVALID", "cascade"));
  EXPECT_EQ(StatusOf("task:1"), cache::v1::ENTRY_STATUS_OK);
}

}  // namespace
}  // namespace meridian
