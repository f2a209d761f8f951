// A region that returns after tombstones are forgotten, with a value that the other region has
// deleted meanwhile: real nodes, real Redises, and a day of two seconds.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/fault_proxy/fault_proxy_process.h"
#include "tests/support/redis_process.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(15);
const std::string kGone = "{a}gone";
const std::string kScheme = "redis://";

class RegionReturnTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* region : {"us", "eu"}) {
      auto redis = RedisProcess::Start({"--dir", dir_ / ""});
      ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
      redis_[region] = *std::move(redis);
      auto way = FaultProxyProcess::Start(redis_[region]->url().substr(kScheme.size()));
      ASSERT_TRUE(way.ok()) << std::string(way.status().message());
      ways_[region] = *std::move(way);
    }
    for (const char* region : {"us", "eu"}) StartNode(region);
    Set("us", "{a}from us");
    Set("eu", "{a}from eu");
    ASSERT_TRUE(WaitUntil([&] { return IsHit("eu", "{a}from us") && IsHit("us", "{a}from eu"); },
                          kPatience));
  }
  void StartNode(const std::string& region) {
    const std::string other = region == "us" ? "eu" : "us";
    auto node = TestNode::Start(
        region + "-1",
        {"--region", region, "--redis", redis_[region]->url(), "--region-redis",
         absl::StrCat(other, "=", kScheme, ways_[other]->address()), "--tombstone-ttl", "2s"});
    ASSERT_TRUE(node.ok()) << std::string(node.status().message());
    nodes_[region] = *std::move(node);
    stubs_[region] = NewStub<cache::v1::CacheService>(nodes_[region]->data());
  }
  void StopNode(const std::string& region) {
    stubs_.erase(region);
    nodes_.erase(region);
  }
  void Cut(const std::string& from, bool cut) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    admin::v1::SetReplicationCutRequest request;
    request.set_region(from == "us" ? "eu" : "us");
    request.set_cut(cut);
    admin::v1::SetReplicationCutResponse response;
    const grpc::Status status = NewStub<admin::v1::AdminService>(nodes_[from]->admin())
                                    ->SetReplicationCut(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  // No node reaches the other region's Redis.
  void CutNetwork(bool cut) {
    for (const auto& [region, way] : ways_) ASSERT_TRUE(way->Set(cut ? "cut=on" : "clear").ok());
  }
  uint64_t Differing() {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    admin::v1::DiffRegionsResponse response;
    const grpc::Status status = NewStub<admin::v1::AdminService>(nodes_["us"]->admin())
                                    ->DiffRegions(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.differing_keys();
  }
  void Set(const std::string& region, const std::string& key) {
    cache::v1::SetEntry entry;
    entry.set_key(key);
    entry.set_value("v");
    entry.set_ttl_ms(3'600'000);
    EXPECT_EQ(calls::SetOne(*stubs_[region], entry).status(), cache::v1::ENTRY_STATUS_OK);
  }
  void Invalidate(const std::string& region, const std::string& key) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::InvalidateRequest request;
    request.set_namespace_(calls::kSpace);
    request.set_key(key);
    cache::v1::InvalidateResponse response;
    EXPECT_TRUE(stubs_[region]->Invalidate(&context, request, &response).ok());
  }
  cache::v1::EntryStatus StatusOf(const std::string& region, const std::string& key) {
    return calls::GetAll(*stubs_[region], {key}).entries(0).status();
  }
  bool IsHit(const std::string& region, const std::string& key) {
    return StatusOf(region, key) == cache::v1::ENTRY_STATUS_OK;
  }
  bool IsMiss(const std::string& region, const std::string& key) {
    return StatusOf(region, key) == cache::v1::ENTRY_STATUS_MISS;
  }
  // Everything is compared and sent.
  bool IsDone(const std::string& region) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    admin::v1::GetReplicationResponse response;
    const grpc::Status status = NewStub<admin::v1::AdminService>(nodes_[region]->admin())
                                    ->GetReplication(&context, {}, &response);
    return status.ok() && response.links(0).state() == "streaming" &&
           response.links(0).backlog() == 0;
  }
  // Whether the region's Redis has anything of the key, a tombstone included.
  bool Remembers(const std::string& region, const std::string& key) {
    return !Kind(region, key).empty();
  }
  bool HasValue(const std::string& region, const std::string& key) {
    return Kind(region, key) == "V";
  }
  // The letter behind version and expiry in a record (docs/wire.md); empty: there is none.
  std::string Kind(const std::string& region, const std::string& key) {
    const std::string name =
        absl::StrCat("m:{", SlotOf(calls::kSpace, key), "}:e:", calls::kSpace, ":", key);
    const auto answer = redis_[region]->Command({"GETRANGE", name, "32", "32"});
    EXPECT_TRUE(answer.ok());
    return answer.value_or("");
  }

  const TempDir dir_;
  std::map<std::string, std::unique_ptr<RedisProcess>> redis_;
  std::map<std::string, std::unique_ptr<FaultProxyProcess>> ways_;  // To it, of other regions.
  std::map<std::string, std::unique_ptr<TestNode>> nodes_;
  std::map<std::string, std::unique_ptr<cache::v1::CacheService::Stub>> stubs_;
};

TEST_F(RegionReturnTest, AnOwnValueThatWasNeverSentDoesNotUndoADelete) {
  Cut("us", true);
  Cut("eu", true);
  Set("eu", kGone);
  Set("us", kGone);
  Invalidate("us", kGone);
  ASSERT_TRUE(Remembers("us", kGone));
  ASSERT_TRUE(WaitUntil([&] { return !Remembers("us", kGone); }, kPatience)) << "still remembered";

  StopNode("us");  // Nobody tells eu of the delete before eu speaks.
  Cut("eu", false);
  EXPECT_TRUE(WaitUntil([&] { return IsMiss("eu", kGone); }, kPatience));
  EXPECT_FALSE(HasValue("us", kGone));

  StartNode("us");
  Cut("us", false);
  Set("eu", "{a}young");
  Set("us", "{a}younger");
  EXPECT_TRUE(
      WaitUntil([&] { return IsHit("us", "{a}young") && IsHit("eu", "{a}younger"); }, kPatience));
  EXPECT_TRUE(WaitUntil([&] { return IsDone("us") && IsDone("eu"); }, kPatience));
  EXPECT_TRUE(IsMiss("us", kGone));
  EXPECT_TRUE(IsMiss("eu", kGone));
}

TEST_F(RegionReturnTest, AnOldSnapshotDoesNotBringADeletedKeyBack) {
  Set("eu", kGone);
  ASSERT_TRUE(WaitUntil([&] { return IsHit("us", kGone); }, kPatience));
  ASSERT_TRUE(redis_["eu"]->Command({"SAVE"}).ok());
  Invalidate("us", kGone);
  ASSERT_TRUE(WaitUntil([&] { return IsMiss("eu", kGone); }, kPatience));
  ASSERT_TRUE(
      WaitUntil([&] { return !Remembers("us", kGone) && !Remembers("eu", kGone); }, kPatience))
      << "still remembered";

  StopNode("us");
  redis_["eu"]->Kill();
  ASSERT_TRUE(redis_["eu"]->Restart().ok());
  ASSERT_TRUE(HasValue("eu", kGone)) << "the snapshot was not loaded";
  EXPECT_TRUE(WaitUntil([&] { return IsMiss("eu", kGone); }, kPatience));
  EXPECT_FALSE(HasValue("us", kGone));
  StartNode("us");
  Set("eu", "{a}young");
  EXPECT_TRUE(WaitUntil([&] { return IsHit("us", "{a}young"); }, kPatience));
  EXPECT_TRUE(WaitUntil([&] { return IsDone("us") && IsDone("eu"); }, kPatience));
  EXPECT_TRUE(IsMiss("us", kGone));
  EXPECT_TRUE(IsMiss("eu", kGone));
}

// eu's node runs all through the cut. us' node, which had the delete in memory, does not: until it
// is there again nobody mends eu, and nothing in eu's Redis says that the key is dead.
TEST_F(RegionReturnTest, ANodeThatRunsAllThroughALongCutServesNothingThatWasDeletedElsewhere) {
  Set("us", kGone);
  Set("us", "{a}kept");
  ASSERT_TRUE(WaitUntil([&] { return IsHit("eu", kGone) && IsHit("eu", "{a}kept"); }, kPatience));
  CutNetwork(true);
  Invalidate("us", kGone);
  ASSERT_TRUE(WaitUntil([&] { return !Remembers("us", kGone); }, kPatience)) << "still remembered";
  Set("us", "{a}last");
  StopNode("us");
  const std::string log = absl::StrCat("m:{", SlotOf(calls::kSpace, kGone), "}:log");
  ASSERT_TRUE(redis_["us"]->Command({"XTRIM", log, "MAXLEN", "1"}).ok());
  ASSERT_TRUE(IsHit("eu", kGone)) << "the cut does not hold";

  CutNetwork(false);
  EXPECT_TRUE(WaitUntil([&] { return IsMiss("eu", kGone); }, kPatience));
  EXPECT_TRUE(HasValue("eu", kGone)) << "mended already: nothing was tested";
  Set("eu", "{a}young");
  EXPECT_TRUE(IsHit("eu", "{a}young"));
  EXPECT_TRUE(IsMiss("eu", kGone));

  StartNode("us");
  EXPECT_TRUE(WaitUntil(
      [&] {
        EXPECT_FALSE(IsHit("eu", kGone));
        return IsDone("us") && IsDone("eu") && IsHit("eu", "{a}last") && IsHit("eu", "{a}kept");
      },
      kPatience));
  EXPECT_TRUE(IsHit("eu", "{a}young"));
  EXPECT_TRUE(IsMiss("eu", kGone));
  EXPECT_FALSE(HasValue("eu", kGone));
  EXPECT_EQ(Differing(), 0u);
}

}  // namespace
}  // namespace meridian
