// Watch on real nodes: what a follower is told of writes here, on another node and in the store;
// how it goes on after its stream has ended; and what is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/redis_process.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"
#include "tests/support/wire_error.h"

namespace meridian {
namespace {

using calls::kSpace;
using calls::SetDeadline;
using calls::Stub;
using grpc::StatusCode::INVALID_ARGUMENT;

// One stream, read in order.
class Follower {
 public:
  Follower(Stub& stub, const std::vector<uint32_t>& slots, uint64_t resume_after = 0,
           uint64_t incarnation = 0) {
    // Longer than a Redis that comes back is left alone by its circuit breaker.
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    cache::v1::WatchRequest request;
    for (const uint32_t slot : slots) request.add_slots(slot);
    request.set_resume_after(resume_after);
    request.set_incarnation(incarnation);
    stream_ = stub.Watch(&context_, request);
  }

  // False when the stream has ended.
  bool Next() {
    const uint64_t before = message_.sequence();
    if (!stream_->Read(&message_)) return false;
    if (before != 0) {
      EXPECT_EQ(message_.previous(), before);
    }
    return true;
  }
  const cache::v1::WatchResponse& message() const { return message_; }

  // Reads until a message has an event that `wanted` says yes to.
  template <typename Wanted>
  bool Find(const Wanted& wanted) {
    while (Next()) {
      if (std::any_of(message_.events().begin(), message_.events().end(), wanted)) return true;
    }
    return false;
  }
  bool FindKey(const std::string& key, uint64_t hlc) {
    return Find([&](const cache::v1::WatchEvent& event) {
      return event.key() == key && event.version().hlc() == hlc && event.namespace_() == kSpace;
    });
  }
  // Reads until the node has heard of everything that happened before the last message.
  bool AwaitComplete() {
    const uint64_t sent = message_.sent_at_ms();
    while (message_.complete_at_ms() <= sent) {
      if (!Next()) return false;
    }
    return true;
  }
  // Of a stream that has ended.
  grpc::Status Finish() { return stream_->Finish(); }
  grpc::Status Cancel() {
    context_.TryCancel();
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<cache::v1::WatchResponse>> stream_;
  cache::v1::WatchResponse message_;
};

class WatchCallTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    absl::StatusOr<std::unique_ptr<RedisProcess>> redis = RedisProcess::Start();
    ASSERT_TRUE(redis.ok()) << std::string(redis.status().message());
    redis_ = *std::move(redis);
    auto nodes = TestNode::StartPeers(2, {"--redis", redis_->url()});
    ASSERT_TRUE(nodes.ok()) << std::string(nodes.status().message());
    nodes_ = *std::move(nodes);
    for (const auto& node : nodes_) {
      stubs_.push_back(NewStub<cache::v1::CacheService>(node->data()));
    }
  }
  static void TearDownTestSuite() {
    stubs_.clear();
    nodes_.clear();
    redis_.reset();
  }
  void SetUp() override { ASSERT_EQ(stubs_.size(), 2); }

  static Stub& stub(size_t node) { return *stubs_[node]; }
  static uint32_t SlotOfKey(const std::string& key) { return SlotOf(kSpace, key); }

  static uint64_t Set(Stub& stub, const std::string& key) {
    cache::v1::SetEntry entry;
    entry.set_key(key);
    entry.set_value("v");
    return calls::SetOne(stub, entry).version().hlc();
  }

  // A Get by somebody who keeps values.
  static cache::v1::ResponseHeader HeaderOf(Stub& stub, const std::string& key,
                                            bool for_near_cache = true) {
    grpc::ClientContext context;
    SetDeadline(&context);
    cache::v1::GetRequest request;
    request.set_namespace_(kSpace);
    request.set_key(key);
    request.mutable_options()->set_for_near_cache(for_near_cache);
    cache::v1::GetResponse response;
    const grpc::Status status = stub.Get(&context, request, &response);
    EXPECT_TRUE(status.ok()) << ToWireError(status);
    return response.header();
  }

  // Whether both nodes reach the store: it is asked for keys of both.
  static bool BothRead() {
    std::vector<std::string> keys;
    for (int i = 0; i < 32; ++i) keys.push_back(absl::StrCat("anything:", i));
    const cache::v1::BatchGetResponse response = calls::GetAll(stub(0), keys);
    return std::all_of(response.entries().begin(), response.entries().end(), [](const auto& entry) {
      return entry.status() == cache::v1::ENTRY_STATUS_MISS;
    });
  }

  // A key that node `owner` owns: the one whose node says that it may be kept.
  static std::string KeyOf(size_t owner, const std::string& prefix) {
    for (int i = 0;; ++i) {
      const std::string key = absl::StrCat(prefix, i);
      if (HeaderOf(stub(owner), key).watch_incarnation() != 0) return key;
      if (i > 200) ADD_FAILURE() << "node " << owner << " owns nothing";
      if (i > 200) return key;
    }
  }

  static std::unique_ptr<RedisProcess> redis_;
  static std::vector<std::unique_ptr<TestNode>> nodes_;
  static std::vector<std::unique_ptr<Stub>> stubs_;
};
std::unique_ptr<RedisProcess> WatchCallTest::redis_;
std::vector<std::unique_ptr<TestNode>> WatchCallTest::nodes_;
std::vector<std::unique_ptr<Stub>> WatchCallTest::stubs_;

TEST_F(WatchCallTest, AFollowerIsToldOfWritesWhereverTheyAreMade) {
  const std::string key = KeyOf(0, "told:");
  Follower follower(stub(0), {SlotOfKey(key)});
  ASSERT_TRUE(follower.Next());
  EXPECT_EQ(follower.message().header().node(), "n0");
  EXPECT_GT(follower.message().header().epoch(), 0);
  EXPECT_TRUE(follower.FindKey(key, Set(stub(0), key)));
  EXPECT_TRUE(follower.FindKey(key, Set(stub(1), key))) << "forwarded to the owner";

  grpc::ClientContext context;
  SetDeadline(&context);
  cache::v1::InvalidateRequest invalidate;
  invalidate.set_namespace_(kSpace);
  invalidate.set_key(key);
  cache::v1::InvalidateResponse invalidated;
  ASSERT_TRUE(stub(1).Invalidate(&context, invalidate, &invalidated).ok());
  EXPECT_TRUE(follower.FindKey(key, invalidated.result().version().hlc()));
}

TEST_F(WatchCallTest, WhatAnotherNodeWritesIntoTheStoreIsToldAndLossesOfTheStoreAreGaps) {
  const std::string key = KeyOf(0, "around:");
  const uint32_t slot = SlotOfKey(key);
  Follower follower(stub(0), {slot});
  ASSERT_TRUE(follower.Next());
  // The owner cannot be asked: the other node goes around it, and only the changelog knows.
  nodes_[0]->process().Signal(SIGSTOP);
  const uint64_t written = Set(stub(1), key);
  nodes_[0]->process().Signal(SIGCONT);
  EXPECT_TRUE(follower.FindKey(key, written));
  // It may have been told by the call that reached the owner late: a store that loses what the
  // owner has not read in its log takes nothing back that a follower was told by it.
  EXPECT_TRUE(follower.AwaitComplete());
  // The store comes back empty: what the follower keeps may be older than what was lost.
  redis_->Kill();
  ASSERT_TRUE(redis_->Restart().ok());
  EXPECT_TRUE(follower.Find([&](const cache::v1::WatchEvent& event) {
    return event.has_gap() && !event.gap().ended() && event.slot() == slot;
  }));
  // The next test begins with nodes that reach the store again.
  EXPECT_TRUE(WaitUntil([] { return BothRead(); }, absl::Seconds(30)));
}

TEST_F(WatchCallTest, AFollowerGoesOnWhereItsStreamEnded) {
  const std::string key = KeyOf(0, "again:");
  Follower first(stub(0), {SlotOfKey(key)});
  ASSERT_TRUE(first.Next());
  ASSERT_TRUE(first.FindKey(key, Set(stub(0), key)));
  const uint64_t seen = first.message().sequence();
  const uint64_t incarnation = first.message().incarnation();
  first.Cancel();
  const uint64_t missed = Set(stub(0), key);
  Follower second(stub(0), {SlotOfKey(key)}, seen, incarnation);
  ASSERT_TRUE(second.FindKey(key, missed));
  Follower stranger(stub(0), {SlotOfKey(key)}, seen, incarnation + 2);
  ASSERT_TRUE(stranger.Next());
  EXPECT_EQ(stranger.message().previous(), 0);
  ASSERT_EQ(stranger.message().events_size(), 1);
  EXPECT_TRUE(stranger.message().events(0).has_gap());
}

TEST_F(WatchCallTest, SilenceIsBrokenEverySecondAndSaysHowFarItIsComplete) {
  const std::string key = KeyOf(1, "beat:");
  Follower follower(stub(1), {SlotOfKey(key)});
  uint64_t complete = 0;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(follower.Next());
    EXPECT_GE(follower.message().sent_at_ms(), follower.message().complete_at_ms());
    EXPECT_GE(follower.message().complete_at_ms(), complete);
    complete = follower.message().complete_at_ms();
    EXPECT_LT(follower.message().sent_at_ms() - complete, 1000);
  }
}

TEST_F(WatchCallTest, OnlyTheOwnerSaysThatAValueMayBeKept) {
  const std::string key = KeyOf(0, "kept:");
  const cache::v1::ResponseHeader owner = HeaderOf(stub(0), key);
  EXPECT_EQ(HeaderOf(stub(1), key).watch_incarnation(), 0);
  EXPECT_EQ(HeaderOf(stub(0), key, /*for_near_cache=*/false).watch_incarnation(), 0);
  Follower follower(stub(0), {SlotOfKey(key)});
  ASSERT_TRUE(follower.Next());
  EXPECT_EQ(follower.message().incarnation(), owner.watch_incarnation());
  // Who asks the wrong node is told that it does not follow the slot.
  Follower wrong(stub(1), {SlotOfKey(key)});
  ASSERT_TRUE(wrong.Next());
  ASSERT_EQ(wrong.message().events_size(), 1);
  EXPECT_TRUE(wrong.message().events(0).gap().ended());
}

TEST_F(WatchCallTest, BadRequestsAreRefused) {
  Follower nothing(stub(0), {});
  EXPECT_FALSE(nothing.Next());
  EXPECT_THAT(nothing.Finish(), IsWireError(INVALID_ARGUMENT, "FIELD_INVALID", "slots"));
  Follower beyond(stub(0), {1024});
  EXPECT_FALSE(beyond.Next());
  EXPECT_THAT(beyond.Finish(), IsWireError(INVALID_ARGUMENT, "FIELD_INVALID", "slots"));
}

}  // namespace
}  // namespace meridian
