#include "server/node/write_path.h"

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

class WritePathTest : public NodeFixture {
 protected:
  // What the store has: "value", "tombstone" or "-".
  std::string Stored(const std::string& key) {
    const std::optional<std::string> bytes = store_.Peek(kSpace, key);
    if (!bytes) return "-";
    const absl::StatusOr<Record> record = ParseRecord(*bytes);
    if (!record.ok()) return std::string(record.status().message());
    return record->kind == RecordKind::kTombstone ? "tombstone" : std::string(record->value);
  }
  static WriteItem IfAbsent(std::string_view key, std::string_view value) {
    WriteItem item = SetOf(key, value);
    item.if_absent = true;
    return item;
  }
  static WriteItem IfVersion(std::string_view key, std::string_view value, Version version) {
    WriteItem item = SetOf(key, value);
    item.expected_version = version;
    return item;
  }
};

TEST_F(WritePathTest, AWriteIsInTheStoreAndInTheOwnersL1) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  const WriteResult result = WriteOne(node(0), SetOf(key, "v"));
  EXPECT_EQ(result.state, EntryState::kOk);
  EXPECT_TRUE(result.version.is_set());
  EXPECT_EQ(Stored(key), "v");
  EXPECT_EQ(node(0).engine().entries(), 0);
  EXPECT_EQ(Show(ReadOne(node(0), key)), "v@L1");
}

TEST_F(WritePathTest, VersionsGrow) {
  StartNodes(1);
  Version last;
  for (int i = 0; i < 100; ++i) {
    const Version version = WriteOne(node(0), SetOf("k", "v")).version;
    EXPECT_GT(version, last);
    last = version;
  }
}

TEST_F(WritePathTest, InvalidateLeavesATombstoneAndNothingInL1) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  EXPECT_EQ(WriteOne(node(0), InvalidateOf("k")).state, EntryState::kOk);
  EXPECT_EQ(Stored("k"), "tombstone");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss");
  EXPECT_EQ(WriteOne(node(0), InvalidateOf("never was there")).state, EntryState::kOk);
}

TEST_F(WritePathTest, TheLastOfARepeatedKeyWins) {
  StartNodes(1);
  const std::vector<WriteResult> results =
      Write(node(0), {SetOf("k", "1"), SetOf("other", "x"), SetOf("k", "2")});
  for (const WriteResult& result : results) EXPECT_EQ(result.state, EntryState::kOk);
  EXPECT_EQ(Stored("k"), "2");
  EXPECT_THAT(Show(ReadOne(node(0), "k")), testing::StartsWith("2@"));
}

TEST_F(WritePathTest, APlainWriteThatMeetsANewerVersionTakesANewerOne) {
  StartNodes(1);
  // Another region's clock is 30 s ahead.
  FakeClock ahead(clock_.Now() + absl::Seconds(30));
  TestNode other("n0", ahead, store_, peers_, timers_, false, {});
  other.topology().Offer(TopologyOf(1, {"n0"}));
  const Version theirs = WriteOne(other, SetOf("k", "theirs")).version;
  const WriteResult ours = WriteOne(node(0), SetOf("k", "ours"));
  EXPECT_EQ(ours.state, EntryState::kOk);
  EXPECT_GT(ours.version, theirs);
  EXPECT_EQ(Stored("k"), "ours");
}

// Two nodes may give the same version, in the millisecond in which a slot moves.
TEST_F(WritePathTest, AWriteThatMeetsItsOwnVersionOfAnotherNodeTakesANewerOne) {
  StartNodes(1);
  TestNode other("n0", clock_, store_, peers_, timers_, false, {});
  other.topology().Offer(TopologyOf(1, {"n0"}));
  for (const bool deletes : {false, true}) {
    clock_.Advance(absl::Seconds(1));
    const Version theirs = WriteOne(other, SetOf("k", "theirs")).version;
    ASSERT_EQ(theirs.time(), clock_.Now());
    ASSERT_LT(node(0).versions().last(), theirs.hlc) << "so this node gives the same version now";
    const WriteResult ours = WriteOne(node(0), deletes ? InvalidateOf("k") : SetOf("k", "ours"));
    EXPECT_EQ(ours.state, EntryState::kOk);
    EXPECT_GT(ours.version, theirs);
    EXPECT_EQ(Stored("k"), deletes ? "tombstone" : "ours");
  }
}

TEST_F(WritePathTest, IsNotTriedAgainAfterItsDeadline) {
  StartNodes(1);
  FakeClock ahead(clock_.Now() + absl::Seconds(30));
  TestNode other("n0", ahead, store_, peers_, timers_, false, {});
  other.topology().Offer(TopologyOf(1, {"n0"}));
  WriteOne(other, SetOf("k", "theirs"));
  WriteRequest request;
  request.name_space = kSpace;
  request.items.push_back(SetOf("k", "ours"));
  request.deadline = clock_.Now() + absl::Milliseconds(50);
  store_.HoldReplies();
  std::string reason;
  node(0).writes().Write(request, [&](std::vector<WriteResult> results) {
    if (results[0].error != nullptr) reason = results[0].error->reason;
  });
  executor_.RunDue();
  clock_.Advance(absl::Milliseconds(60));  // The caller has given up; the store's answer comes now.
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_EQ(reason, "WRITE_CONTENDED");
  EXPECT_EQ(Stored("k"), "theirs");
}

TEST_F(WritePathTest, AVersionFarInTheFutureIsRefusedAndNotFollowed) {
  StartNodes(1);
  FakeClock ahead(clock_.Now() + absl::Minutes(5));
  TestNode other("n0", ahead, store_, peers_, timers_, false, {});
  other.topology().Offer(TopologyOf(1, {"n0"}));
  WriteOne(other, SetOf("k", "from the future"));
  const WriteResult result = WriteOne(node(0), SetOf("k", "now"));
  ASSERT_EQ(result.state, EntryState::kError);
  EXPECT_EQ(result.error->reason, "CLOCK_SKEW");
  EXPECT_LT(node(0).versions().Next().time(), clock_.Now() + absl::Seconds(61));
}

TEST_F(WritePathTest, ConditionsHoldWithAndWithoutAStore) {
  for (const bool l1_only : {false, true}) {
    SCOPED_TRACE(l1_only ? "L1 only" : "with L2");
    nodes_.clear();
    StartNodes(1, l1_only);
    const std::string key = l1_only ? "a" : "b";
    const WriteResult first = WriteOne(node(0), IfAbsent(key, "1"));
    EXPECT_EQ(first.state, EntryState::kOk);
    const WriteResult second = WriteOne(node(0), IfAbsent(key, "2"));
    EXPECT_EQ(second.state, EntryState::kConflict);
    EXPECT_EQ(second.version, first.version);

    const WriteResult third = WriteOne(node(0), IfVersion(key, "3", first.version));
    EXPECT_EQ(third.state, EntryState::kOk);
    const WriteResult fourth = WriteOne(node(0), IfVersion(key, "4", first.version));
    EXPECT_EQ(fourth.state, EntryState::kConflict);
    EXPECT_EQ(fourth.version, third.version);
    EXPECT_THAT(Show(ReadOne(node(0), key)), testing::StartsWith("3@"));

    WriteOne(node(0), InvalidateOf(key));
    const WriteResult gone = WriteOne(node(0), IfVersion(key, "5", third.version));
    EXPECT_EQ(gone.state, EntryState::kConflict);
    EXPECT_FALSE(gone.version.is_set());
    EXPECT_EQ(WriteOne(node(0), IfAbsent(key, "6")).state, EntryState::kOk);
  }
}

TEST_F(WritePathTest, TouchMovesTheExpiryAndKeepsTheValue) {
  for (const bool l1_only : {false, true}) {
    SCOPED_TRACE(l1_only ? "L1 only" : "with L2");
    nodes_.clear();
    StartNodes(1, l1_only);
    const std::string key = l1_only ? "a" : "b";
    const Version set = WriteOne(node(0), SetOf(key, "v", absl::Seconds(10))).version;
    const WriteResult touched = WriteOne(node(0), TouchOf(key, absl::Seconds(100)));
    EXPECT_EQ(touched.state, EntryState::kOk);
    EXPECT_GT(touched.version, set);
    clock_.Advance(absl::Seconds(50));
    EXPECT_THAT(Show(ReadOne(node(0), key)), testing::StartsWith("v@"));
    EXPECT_EQ(ReadOne(node(0), key).ttl, absl::Seconds(50));
    EXPECT_EQ(WriteOne(node(0), TouchOf("absent", absl::Seconds(1))).state, EntryState::kMiss);
    clock_.Advance(absl::Seconds(50));
    EXPECT_EQ(WriteOne(node(0), TouchOf(key, absl::Seconds(1))).state, EntryState::kMiss);
  }
}

TEST_F(WritePathTest, TheStoreDownFailsTheWriteAndKeepsNothing) {
  StartNodes(1);
  store_.SetAvailable(false);
  const WriteResult result = WriteOne(node(0), SetOf("k", "v"));
  ASSERT_EQ(result.state, EntryState::kError);
  EXPECT_EQ(result.error->code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(WritePathTest, AnUnknownOutcomeGivesUpTheOldValueInL1) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "old"));
  store_.LoseNextReply(absl::DeadlineExceededError("no answer"));
  EXPECT_EQ(WriteOne(node(0), SetOf("k", "new")).state, EntryState::kError);
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "new@L2");
}

// A defect once: the notice of what the store did later was taken for an echo of the warning, and
// who had read the old value in between kept it.
TEST_F(WritePathTest, AWriteThatMayStillComeIsToldAgainWhenItHasCome) {
  StartNodes(1);
  WatchHub hub(WatchHubOptions{}, clock_);
  node(0).context().watch = &hub;
  const uint32_t slot = SlotOf(kSpace, "k");
  hub.SlotFollowed(slot);
  SlotSet slots;
  slots.set(slot);
  WatchHub::Reader reader = hub.Open(slots, 0, 0);
  const auto told = [&] {
    std::string bytes;
    cache::v1::WatchResponse message;
    EXPECT_TRUE(hub.Read(&reader, /*alive=*/true, &bytes));
    EXPECT_TRUE(message.ParseFromString(bytes));
    std::vector<uint64_t> versions;
    for (const auto& event : message.events()) versions.push_back(event.version().hlc());
    return versions;
  };
  const Version old = WriteOne(node(0), SetOf("k", "old")).version;
  EXPECT_THAT(told(), testing::ElementsAre(old.hlc));
  hub.Changed(slot, kSpace, "k", old);
  EXPECT_THAT(told(), testing::IsEmpty()) << "the echo of a write that was done";

  store_.FailNext(absl::DeadlineExceededError("no answer yet"));
  EXPECT_EQ(WriteOne(node(0), SetOf("k", "new")).state, EntryState::kError);
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "old@L2") << "followers may read it, too";
  const std::vector<uint64_t> warned = told();
  ASSERT_EQ(warned.size(), 1);
  const Version late{warned[0], node(0).versions().region()};
  EXPECT_GT(late, old);
  hub.Changed(slot, kSpace, "k", late);  // By the tail: the store has carried it out.
  EXPECT_THAT(told(), testing::ElementsAre(late.hlc));
  hub.Changed(slot, kSpace, "k", late);
  EXPECT_THAT(told(), testing::IsEmpty());
  hub.Close(reader);
}

TEST_F(WritePathTest, GoesAroundAnOwnerThatDoesNotAnswer) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  EXPECT_EQ(WriteOne(node(0), SetOf(key, "v")).state, EntryState::kOk);
  EXPECT_EQ(Stored(key), "v");
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(WritePathTest, AConditionIsNotJudgedTwice) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  peers_.Fail("n1", absl::UnavailableError("connection reset"));
  const WriteResult result = WriteOne(node(0), IfAbsent(key, "v"));
  ASSERT_EQ(result.state, EntryState::kError);
  EXPECT_EQ(result.error->reason, "OUTCOME_UNKNOWN");
  EXPECT_EQ(Stored(key), "-");
}

TEST_F(WritePathTest, WithoutAStoreAnOwnerThatDoesNotAnswerIsAnErrorOfItsKeysOnly) {
  StartNodes(2, /*l1_only=*/true);
  const std::string here = KeyOwnedBy(0);
  const std::string there = KeyOwnedBy(1);
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  const std::vector<WriteResult> results = Write(node(0), {SetOf(there, "v"), SetOf(here, "v")});
  ASSERT_EQ(results[0].state, EntryState::kError);
  EXPECT_EQ(results[0].error->reason, "OWNER_UNAVAILABLE");
  EXPECT_EQ(results[1].state, EntryState::kOk);
}

// n0 has heard that its slots are n1's before n1 has.
TEST_F(WritePathTest, WithoutL2SendsUntilTheNextOwnerKnowsThatItIsTheOwner) {
  StartNodes(2, /*l1_only=*/true);
  const std::string key = KeyOwnedBy(0);
  node(0).topology().Offer(TopologyOf(2, {"n1"}));
  WriteRequest request;
  request.name_space = kSpace;
  request.items = {SetOf(key, "v")};
  request.deadline = clock_.Now() + absl::Seconds(1);
  std::optional<WriteResult> answer;
  node(0).writes().Write(
      request, [&](std::vector<WriteResult> results) { answer = std::move(results[0]); });
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_FALSE(answer.has_value()) << answer->error->reason;
  node(1).topology().Offer(TopologyOf(2, {"n1"}));
  executor_.RunFor(absl::Milliseconds(20));
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->state, EntryState::kOk);
  EXPECT_EQ(Show(ReadOne(node(1), key)), "v@L1");
}

TEST_F(WritePathTest, FollowsANewerTopologyThatTheFormerOwnerTells) {
  StartNodes(3);
  const std::string key = KeyOwnedBy(1);
  node(1).topology().Offer(TopologyOf(2, {"n0", "n2"}));
  node(2).topology().Offer(TopologyOf(2, {"n0", "n2"}));
  EXPECT_EQ(WriteOne(node(0), IfAbsent(key, "v")).state, EntryState::kOk)
      << "NOT_OWNER means that nothing was done: a condition may be judged again";
  EXPECT_EQ(node(0).topology().Get()->epoch(), 2);
  EXPECT_EQ(Stored(key), "v");
}

TEST_F(WritePathTest, DefaultTtlIsThePolicys) {
  PolicyTable policies;
  ASSERT_TRUE(policies.ReadText("test.yaml", "task: {ttl: 30s}").ok());
  StartNodes(1, false, policies);
  WriteOne(node(0), SetOf("k", "v"));
  const absl::Duration ttl = ReadOne(node(0), "k").ttl;
  EXPECT_LE(ttl, absl::Seconds(30));
  EXPECT_GE(ttl, absl::Milliseconds(28500)) << "5 % of jitter";
}

TEST_F(WritePathTest, TagsReachTheRecord) {
  StartNodes(1);
  WriteItem item = SetOf("k", "v");
  item.tags = {"project:7", "red"};
  WriteOne(node(0), std::move(item));
  const std::string bytes = *store_.Peek(kSpace, "k");
  EXPECT_THAT(*DecodeTags(ParseRecord(bytes)->tags), testing::ElementsAre("project:7", "red"));
}

}  // namespace
}  // namespace meridian
