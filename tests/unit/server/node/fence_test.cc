#include "server/node/fence.h"

#include "server/node/fences.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

TEST(FenceKeyTest, IsReadBackAsItWasMade) {
  const Version version{uint64_t{7} << 16, 3};
  for (const Fence& fence : std::vector<Fence>{
           {"task", FenceScope::kNamespace, "", version, false},
           {"auth", FenceScope::kPrefix, "user:1:", version, false},
           {"auth", FenceScope::kPrefix, ":", version, true},
           {"a.b-c_d", FenceScope::kTag, std::string("n:\0:\xff", 5), version, false},
           {"task", FenceScope::kTag, "{f}", version, true},
       }) {
    const L2Key key = FenceKey(fence);
    EXPECT_EQ(key.slot, SlotOf(key.name_space, key.key));
    EXPECT_EQ(key.slot, FenceSlots()[fence.local ? 1 : 0]);
    const std::optional<Fence> parsed = ParseFenceKey(key.name_space, key.key, version);
    ASSERT_TRUE(parsed.has_value()) << key.key;
    EXPECT_EQ(parsed->name_space, fence.name_space);
    EXPECT_EQ(parsed->scope, fence.scope);
    EXPECT_EQ(parsed->name, fence.name);
    EXPECT_EQ(parsed->version, version);
    EXPECT_EQ(parsed->local, fence.local);
  }
}

TEST(FenceKeyTest, WhatIsNoFenceIsRefused) {
  const Version version{1, 1};
  for (const char* key : {"", "{f}", "{f}task", "{f}task:", "{f}task:n", "{f}task:nn",
                          "{f}task:x:", "{f}:n:", "task:n:", "{f}task:p:", "{f}task:p:user",
                          "{f}task:t:", "{f}task:n:more"}) {
    EXPECT_FALSE(ParseFenceKey(kFenceNamespace, key, version).has_value()) << key;
  }
  EXPECT_FALSE(ParseFenceKey("task", "{f}task:n:", version).has_value());
}

class FencesTest : public testing::Test {
 protected:
  Fence At(FenceScope scope, std::string name, int n, std::string name_space = "auth") {
    return {std::move(name_space), scope, std::move(name),
            Version{(static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now())) << 16) +
                        static_cast<uint64_t>(n),
                    9}};
  }

  FakeClock clock_;
  HybridClock versions_{clock_, 1};
  std::unique_ptr<Engine> engine_ = *Engine::Create({.capacity_bytes = 1 << 20, .shard_bits = 0});
  Fences fences_{*engine_, versions_, false};
};

TEST_F(FencesTest, WhoLearnsAFenceGivesNewerVersionsAndTellsIt) {
  std::vector<std::string> told;
  fences_.AddListener([&](const Fence& fence) { told.push_back(fence.name); });
  const Fence fence = At(FenceScope::kPrefix, "user:1:", 500);
  EXPECT_TRUE(fences_.Learn(fence).ok());
  EXPECT_TRUE(fences_.Learn(fence).ok());
  EXPECT_GT(versions_.Next().hlc, fence.version.hlc);
  EXPECT_THAT(told, testing::ElementsAre("user:1:"));
  EXPECT_EQ(fences_.learned(FenceScope::kPrefix), 1u);
  EXPECT_TRUE(
      fences_.Covers(*engine_->InternNamespace("auth"), "user:1:read", "", fence.version.hlc));
}

TEST_F(FencesTest, AFenceFromTheFutureIsNotLearnt) {
  Fence fence = At(FenceScope::kNamespace, "", 0);
  fence.version.hlc += uint64_t{120'000} << 16;
  EXPECT_EQ(fences_.Learn(fence).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(fences_.named(), 0u);
  EXPECT_FALSE(fences_.Covers(*engine_->InternNamespace("auth"), "k", "",
                              At(FenceScope::kTag, "", 0).version.hlc));
}

TEST_F(FencesTest, ANamespacesFenceMakesOlderOnesSuperfluous) {
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kPrefix, "user:1:", 1)).ok());
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kTag, "t", 2)).ok());
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kTag, "later", 9)).ok());
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kTag, "t", 2, "authors")).ok());
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kNamespace, "", 5)).ok());
  EXPECT_EQ(fences_.TakeGivenUp().size(), 2u);
  std::vector<std::string> names;
  for (const Fence& fence : fences_.List()) names.push_back(fence.name_space + "/" + fence.name);
  EXPECT_THAT(names, testing::UnorderedElementsAre("auth/", "auth/later", "authors/t"));
  ASSERT_TRUE(fences_.Learn(At(FenceScope::kPrefix, "user:2:", 4)).ok());
  EXPECT_EQ(fences_.TakeGivenUp().size(), 1u) << "said already";
  EXPECT_EQ(fences_.named(), 3u);
}

TEST_F(FencesTest, TooManyBecomeOneForTheNamespace) {
  for (size_t i = 0; i <= Fences::kMaxNamed; ++i) {
    ASSERT_TRUE(
        fences_.Learn(At(FenceScope::kPrefix, absl::StrCat("u:", i, ":"), static_cast<int>(i)))
            .ok());
  }
  EXPECT_LE(fences_.named(), Fences::kMaxNamed / 2 + 2);
  EXPECT_GE(fences_.TakeGivenUp().size(), Fences::kMaxNamed / 2);
  const NamespaceId id = *engine_->InternNamespace("auth");
  EXPECT_TRUE(fences_.Covers(id, "anything", "", At(FenceScope::kTag, "", 5).version.hlc));
  EXPECT_FALSE(
      fences_.Covers(id, "anything", "",
                     At(FenceScope::kTag, "", static_cast<int>(Fences::kMaxNamed)).version.hlc));
}

TEST_F(FencesTest, MoreNamespacesThanNamesAreKeptAllTheSame) {
  // One of each namespace cannot become fewer.
  for (size_t i = 0; i <= Fences::kMaxNamed; ++i) {
    ASSERT_TRUE(fences_.Learn(At(FenceScope::kNamespace, "", 1, absl::StrCat("n", i))).ok());
  }
  EXPECT_EQ(fences_.named(), Fences::kMaxNamed + 1);
  EXPECT_EQ(fences_.merged(), 0u);
}

class FencePathTest : public NodeFixture {
 protected:
  FenceResult Invalidate(TestNode& at, FenceScope scope, std::string name) {
    std::optional<FenceResult> answer;
    peers_.SetAsker(&at.context());
    at.fence_path().Invalidate({kSpace, scope, std::move(name), clock_.Now() + absl::Seconds(1)},
                               [&](FenceResult result) { answer = std::move(result); });
    executor_.RunDue();
    EXPECT_TRUE(answer.has_value());
    return answer ? *std::move(answer) : FenceResult();
  }
  static WriteItem Tagged(std::string_view key, std::string_view tag) {
    WriteItem item = SetOf(key, "v");
    item.tags = {std::string(tag)};
    return item;
  }
};

TEST_F(FencePathTest, WhatIsCoveredIsGoneOnEveryNodeAndInTheStoreAndWhatComesAfterIsServed) {
  StartNodes(3);
  for (const char* key : {"user:1:read", "user:1:write", "user:2:read"}) {
    WriteOne(node(0), SetOf(key, "v"));
  }
  WriteOne(node(0), Tagged("tagged", "team"));
  const FenceResult result = Invalidate(node(1), FenceScope::kPrefix, "user:1:");
  EXPECT_EQ(result.result.state, EntryState::kOk);
  EXPECT_THAT(result.unconfirmed, testing::IsEmpty());
  ReadOptions from_store;
  from_store.force_refresh = true;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Show(ReadOne(node(i), "user:1:read")), "miss");
    EXPECT_EQ(Show(ReadOne(node(i), "user:1:write", from_store)), "miss");
    EXPECT_EQ(Show(ReadOne(node(i), "user:2:read")), "v@L1");
    EXPECT_EQ(Show(ReadOne(node(i), "tagged")), "v@L1");
  }
  EXPECT_EQ(Invalidate(node(2), FenceScope::kTag, "team").result.state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(0), "tagged")), "miss");
  EXPECT_GT(WriteOne(node(0), SetOf("user:1:read", "new")).version, result.result.version);
  EXPECT_EQ(Show(ReadOne(node(1), "user:1:read")), "new@L1");
  EXPECT_EQ(Invalidate(node(0), FenceScope::kNamespace, "").result.state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(1), "user:1:read")), "miss");
  EXPECT_EQ(Show(ReadOne(node(1), "user:2:read")), "miss");
}

TEST_F(FencePathTest, IsNewerThanWhatANodeWroteWhoseClockIsAhead) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  ASSERT_TRUE(node(1)
                  .versions()
                  .Merge((static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now())) + 30'000) << 16)
                  .ok());
  const Version written = WriteOne(node(1), SetOf(key, "v")).version;
  EXPECT_GT(Invalidate(node(0), FenceScope::kNamespace, "").result.version, written);
  EXPECT_EQ(Show(ReadOne(node(1), key)), "miss");
}

TEST_F(FencePathTest, NamesTheNodesThatDidNotConfirm) {
  StartNodes(3);
  peers_.Fail("n2", absl::UnavailableError("frozen"));
  const FenceResult result = Invalidate(node(0), FenceScope::kNamespace, "");
  EXPECT_EQ(result.result.state, EntryState::kOk);
  EXPECT_THAT(result.unconfirmed, testing::ElementsAre("n2"));
  EXPECT_EQ(node(0).context().fences->unconfirmed(), 1u);
}

TEST_F(FencePathTest, WithoutTheStoreNothingIsFenced) {
  StartNodes(2);
  WriteOne(node(0), SetOf("k", "v"));
  store_.SetAvailable(false);
  const FenceResult result = Invalidate(node(0), FenceScope::kNamespace, "");
  ASSERT_EQ(result.result.state, EntryState::kError);
  EXPECT_EQ(result.result.error->code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
}

TEST_F(FencePathTest, WorksWithoutARegionalStore) {
  StartNodes(2, /*l1_only=*/true);
  WriteOne(node(0), SetOf("k", "v"));
  EXPECT_EQ(Invalidate(node(0), FenceScope::kNamespace, "").result.state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(1), "k")), "miss");
  WriteOne(node(1), SetOf("k", "w"));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "w@L1");
}

TEST_F(FencePathTest, ConditionsAndTouchesTakeWhatIsFencedForAbsent) {
  StartNodes(2);
  const auto if_absent = [](std::string_view key) {
    WriteItem item = SetOf(key, "again");
    item.if_absent = true;
    return item;
  };
  WriteOne(node(0), SetOf("user:1:a", "v"));
  const Version tagged = WriteOne(node(0), Tagged("tagged", "team")).version;
  WriteOne(node(0), Tagged("other", "else"));
  Invalidate(node(0), FenceScope::kPrefix, "user:1:");
  Invalidate(node(0), FenceScope::kTag, "team");
  EXPECT_EQ(WriteOne(node(1), TouchOf("user:1:a", absl::Hours(1))).state, EntryState::kMiss);
  EXPECT_EQ(WriteOne(node(1), TouchOf("tagged", absl::Hours(1))).state, EntryState::kMiss);
  WriteItem expecting = SetOf("tagged", "again");
  expecting.expected_version = tagged;
  EXPECT_EQ(WriteOne(node(1), std::move(expecting)).state, EntryState::kConflict);
  EXPECT_EQ(WriteOne(node(1), if_absent("tagged")).state, EntryState::kOk);
  EXPECT_EQ(WriteOne(node(1), if_absent("user:1:a")).state, EntryState::kOk);
  EXPECT_EQ(WriteOne(node(1), if_absent("other")).state, EntryState::kConflict);
  EXPECT_EQ(Show(ReadOne(node(0), "tagged")), "again@L1");
}

// In another region, or at a node that hears of the fence late.
TEST_F(FencePathTest, ATouchBeforeTheFenceWasKnownKeepsNothingAlive) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteItem item = Tagged(key, "team");
  WriteOne(node(0), std::move(item));
  clock_.Advance(absl::Milliseconds(5));
  const Fence fence{kSpace, FenceScope::kTag, "team", node(0).versions().Next()};
  clock_.Advance(absl::Milliseconds(5));
  EXPECT_EQ(WriteOne(node(1), TouchOf(key, absl::Hours(9))).state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(1), key)), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(1), key)), "v@L1");
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(node(i).context().fences->Learn(fence).ok());
  ReadOptions from_store;
  from_store.force_refresh = true;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(Show(ReadOne(node(i), key)), "miss");
    EXPECT_EQ(Show(ReadOne(node(i), key, from_store)), "miss");
  }
  EXPECT_EQ(WriteOne(node(1), TouchOf(key, absl::Hours(9))).state, EntryState::kMiss);
  WriteItem again = SetOf(key, "new");
  again.if_absent = true;
  EXPECT_EQ(WriteOne(node(1), std::move(again)).state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(0), key)), "new@L1");
}

TEST_F(FencePathTest, AConditionJudgedByWhatIsDeadDoesNotOutliveTheFence) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    StartNodes(2, l1_only);
    const std::string key = KeyOwnedBy(1);
    const Version old = WriteOne(node(0), SetOf(key, l1_only ? "1" : "2")).version;
    // Its clock is ahead, and it has told it already.
    peers_.AfterPing([&](const std::string&) {
      clock_.Advance(absl::Milliseconds(50));
      WriteItem item = SetOf(key, "from what is dead");
      item.expected_version = old;
      EXPECT_EQ(WriteOne(node(1), std::move(item)).state, EntryState::kOk);
      clock_.Advance(absl::Milliseconds(-50));
    });
    const FenceResult result = Invalidate(node(0), FenceScope::kNamespace, "");
    peers_.AfterPing(nullptr);
    EXPECT_EQ(result.result.state, EntryState::kOk);
    EXPECT_THAT(result.unconfirmed, testing::IsEmpty());
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(Show(ReadOne(node(i), key)), "miss") << i << (l1_only ? " without Redis" : "");
    }
    WriteOne(node(0), SetOf(key, "later"));
    EXPECT_EQ(Show(ReadOne(node(1), key)), "later@L1");
  }
}

TEST_F(FencePathTest, NodesThatTheIssuerDoesNotKnowYetAreAskedAndTold) {
  StartNodes(3);
  node(0).topology().Offer(TopologyOf(2, {"n0", "n1"}));
  for (int i = 1; i < 3; ++i) node(i).topology().Offer(TopologyOf(3, {"n0", "n1", "n2"}));
  ASSERT_TRUE(node(2)
                  .versions()
                  .Merge((static_cast<uint64_t>(absl::ToUnixMillis(clock_.Now())) + 30'000) << 16)
                  .ok());
  const std::string key = KeyOwnedBy(2);
  const Version written = WriteOne(node(2), SetOf(key, "v")).version;
  const FenceResult result = Invalidate(node(0), FenceScope::kNamespace, "");
  EXPECT_GT(result.result.version, written);
  EXPECT_THAT(result.unconfirmed, testing::IsEmpty());
  EXPECT_EQ(Show(ReadOne(node(2), key)), "miss");
}

TEST_F(FencePathTest, AReadThatWasUnderWayDoesNotServeNorKeepWhatWasFenced) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  store_.HoldReplies();
  ReadRequest request;
  request.name_space = kSpace;
  request.keys = {"k"};
  request.deadline = clock_.Now() + absl::Seconds(1);
  std::string answer;
  node(0).reads().Read(request,
                       [&](std::vector<ReadResult> results) { answer = Show(results[0]); });
  executor_.RunDue();
  const Fence fence{kSpace, FenceScope::kNamespace, "", node(0).versions().Next()};
  ASSERT_TRUE(node(0).context().fences->Learn(fence).ok());
  store_.ReleaseReplies();
  EXPECT_EQ(answer, "miss");
  EXPECT_EQ(node(0).engine().entries(), 0u);
}

TEST_F(FencePathTest, WhatTheStoreHoldsIsNotServedBeforeItsFencesAreKnown) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  Fences unread(node(0).engine(), node(0).versions(), /*known=*/false);
  node(0).context().fences = &unread;
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "FENCES_UNKNOWN");
  WriteItem condition = SetOf("k", "w");
  condition.if_absent = true;
  EXPECT_EQ(WriteOne(node(0), std::move(condition)).error->reason, reason::kFencesUnknown);
  EXPECT_EQ(WriteOne(node(0), TouchOf("k", absl::Hours(1))).error->reason, reason::kFencesUnknown);
  EXPECT_EQ(WriteOne(node(0), SetOf("other", "w")).state, EntryState::kOk);
  unread.SetKnown();
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
}

}  // namespace
}  // namespace meridian
