// A client reads its own invalidations, also those that it cannot name as the streams do: while the
// owners' Watch streams say nothing, however long that is, nothing of the namespace is served from
// its near cache. The owners answer calls at once, so that no race decides.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cpp/client.h"
#include "common/base/hash.h"
#include "tests/contract/client_fake_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr char kSpace[] = "formed";
constexpr char kOther[] = "other";

class NearHoldTest : public testing::Test {
 protected:
  void SetUp() override {
    const absl::StatusOr<Topology> topology = Topology::Create(1, "us", {a_.member(), b_.member()});
    ASSERT_TRUE(topology.ok()) << topology.status();
    store_.Publish(*topology);
    client_ = *Client::Create({.targets = {a_.address()}, .near_cache_bytes = 8 << 20});
    ASSERT_TRUE(client_->WaitUntilReady(kPatience).ok());
    ASSERT_TRUE(WaitUntil([this] { return client_->near_stats().followed_slots == kSlotCount; },
                          kPatience));
    std::vector<SetItem> items;
    for (int i = 0; i < 20; ++i) keys_.push_back(absl::StrCat("q:", i));
    for (const std::string& key : keys_) {
      items.push_back({.key = key, .value = "old", .ttl = absl::Hours(1)});
    }
    for (const char* name_space : {kSpace, kOther}) {
      for (const WriteResult& result : client_->BatchSet(name_space, items)) {
        ASSERT_TRUE(result.ok());
      }
      ASSERT_TRUE(WaitUntil([&] { return NearHits(name_space) == keys_.size(); }, kPatience));
    }
  }

  size_t NearHits(const char* name_space) {
    const std::vector<std::string_view> views(keys_.begin(), keys_.end());
    size_t hits = 0;
    for (const GetResult& result : client_->BatchGet(name_space, views)) {
      EXPECT_TRUE(result.hit());
      hits += result.source == ResultSource::kNear ? 1 : 0;
    }
    return hits;
  }

  // The streams fall silent, the client invalidates, and reads.
  void NothingIsServedUntilTheStreamsGoOn(const std::function<WriteResult()>& invalidate, bool ok) {
    for (FakeNode* node : {&a_, &b_}) node->StopTelling();
    ASSERT_EQ(NearHits(kSpace), keys_.size()) << "else this shows nothing";
    EXPECT_EQ(invalidate().ok(), ok);
    EXPECT_EQ(NearHits(kSpace), 0);
    EXPECT_EQ(NearHits(kOther), keys_.size()) << "another namespace";
    for (FakeNode* node : {&a_, &b_}) node->GoOnTelling();
    EXPECT_TRUE(WaitUntil([this] { return NearHits(kSpace) == keys_.size(); }, kPatience))
        << "what nobody changed is good again";
  }

  FakeStore store_;
  FakeNode a_{"node-a", store_};
  FakeNode b_{"node-b", store_};
  std::vector<std::string> keys_;
  std::unique_ptr<Client> client_;
};

TEST_F(NearHoldTest, APrefixThatThePolicyMayForm) {
  NothingIsServedUntilTheStreamsGoOn([this] { return client_->InvalidatePrefix(kSpace, "Q:"); },
                                     true);
}

TEST_F(NearHoldTest, WhatDependsOnAKey) {
  NothingIsServedUntilTheStreamsGoOn(
      [this] { return client_->InvalidateCascade(kSpace, "Q:Base"); }, true);
}

TEST_F(NearHoldTest, AnInvalidationOfWhichNobodyKnowsWhatHasComeOfIt) {
  NothingIsServedUntilTheStreamsGoOn(
      [this] {
        for (FakeNode* node : {&a_, &b_}) node->set_fault(FakeFault::kRunThenBreak);
        const WriteResult result = client_->InvalidateTag(kSpace, "tag");
        for (FakeNode* node : {&a_, &b_}) node->set_fault(FakeFault::kNone);
        return result;
      },
      false);
}

}  // namespace
}  // namespace meridian
