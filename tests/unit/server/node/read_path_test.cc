#include "server/node/read_path.h"

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using ReadPathTest = NodeFixture;

TEST_F(ReadPathTest, AnswersFromL1AfterL2HasFilledIt) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
  EXPECT_EQ(Show(ReadOne(node(0), "absent")), "miss");
}

TEST_F(ReadPathTest, SaysVersionTtlAndAge) {
  StartNodes(1);
  const WriteResult written = WriteOne(node(0), SetOf("k", "v", absl::Seconds(60)));
  clock_.Advance(absl::Seconds(20));
  for (const bool from_l2 : {false, true}) {
    if (from_l2) node(0).engine().Clear();
    const ReadResult result = ReadOne(node(0), "k");
    EXPECT_EQ(result.tier, from_l2 ? Tier::kL2 : Tier::kL1);
    EXPECT_EQ(result.version, written.version);
    EXPECT_EQ(result.ttl, absl::Seconds(40));
    EXPECT_EQ(result.age, absl::Seconds(20));
    EXPECT_EQ(result.raw_size, 1);
  }
}

TEST_F(ReadPathTest, SplitsABatchByOwnerAndAnswersInOrder) {
  StartNodes(3);
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) {
    keys.push_back(KeyOwnedBy(i % 3, i / 3));
    WriteOne(node(0), SetOf(keys.back(), absl::StrCat("v", i)));
  }
  keys.push_back("absent");
  keys.push_back(keys[4]);  // Asked twice, answered twice.
  const int calls_before = peers_.calls();
  const std::vector<ReadResult> results = Read(node(1), keys);
  for (int i = 0; i < 30; ++i) EXPECT_EQ(Show(results[i]), absl::StrCat("v", i, "@L1"));
  EXPECT_EQ(Show(results[30]), "miss");
  EXPECT_EQ(Show(results[31]), "v4@L1");
  EXPECT_EQ(peers_.calls() - calls_before, 2) << "one call to each other owner, not one a key";
}

TEST_F(ReadPathTest, NeverForwardsWhatAPeerForwarded) {
  StartNodes(2);
  ReadRequest request;
  request.name_space = kSpace;
  const std::string foreign = KeyOwnedBy(1);
  request.keys = {foreign};
  request.deadline = clock_.Now() + absl::Seconds(1);
  request.caller = Caller::kPeer;
  std::string shown;
  node(0).reads().Read(request,
                       [&](std::vector<ReadResult> results) { shown = Show(results[0]); });
  EXPECT_EQ(shown, "NOT_OWNER");
  EXPECT_EQ(peers_.calls(), 0);
}

TEST_F(ReadPathTest, FollowsANewerTopologyThatTheFormerOwnerTells) {
  StartNodes(3);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(1), SetOf(key, "v"));
  // n1 has left; n0 has not heard of it.
  node(1).topology().Offer(TopologyOf(2, {"n0", "n2"}));
  node(2).topology().Offer(TopologyOf(2, {"n0", "n2"}));
  EXPECT_EQ(Show(ReadOne(node(0), key)), "v@L2");
  EXPECT_EQ(node(0).topology().Get()->epoch(), 2);
}

TEST_F(ReadPathTest, GoesAroundAnOwnerThatDoesNotAnswerAndKeepsNothingOfIt) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(key, "v1"));
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  EXPECT_EQ(Show(ReadOne(node(0), key)), "v1@L2");
  EXPECT_EQ(node(0).engine().entries(), 0);
  peers_.Fail("n1", absl::OkStatus());
  WriteOne(node(0), SetOf(key, "v2"));
  EXPECT_EQ(Show(ReadOne(node(0), key)), "v2@L1");
}

TEST_F(ReadPathTest, WithoutL2AnOwnerThatDoesNotAnswerIsAnErrorOfItsKeysOnly) {
  StartNodes(2, /*l1_only=*/true);
  const std::string here = KeyOwnedBy(0);
  const std::string there = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(here, "v"));
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  const std::vector<ReadResult> results = Read(node(0), {there, here});
  EXPECT_EQ(Show(results[0]), "OWNER_UNAVAILABLE");
  EXPECT_EQ(results[0].error->code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Show(results[1]), "v@L1");
}

// n0 has heard that its slots are n1's before n1 has.
TEST_F(ReadPathTest, WithoutL2AsksUntilTheNextOwnerKnowsThatItIsTheOwner) {
  StartNodes(2, /*l1_only=*/true);
  const std::string key = KeyOwnedBy(0);
  node(0).topology().Offer(TopologyOf(2, {"n1"}));
  const auto soon = BeginRead({key}, {}, 0, absl::Seconds(1));
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(soon->shown.empty()) << soon->shown[0];
  node(1).topology().Offer(TopologyOf(2, {"n1"}));
  WriteOne(node(1), SetOf(key, "v"));
  executor_.RunFor(absl::Milliseconds(20));
  EXPECT_THAT(soon->shown, testing::ElementsAre("v@L1"));

  node(0).topology().Offer(TopologyOf(4, {"n2"}));
  TestNode late("n2", clock_, no_l2_, peers_, timers_, /*l1_only=*/true, {});
  peers_.Add("n2", {&late.context(), &late.reads(), &late.writes()});
  late.topology().Offer(TopologyOf(3, {"n1"}));
  const auto never = BeginRead({key}, {}, 0, absl::Seconds(1));
  executor_.RunFor(absl::Milliseconds(999));
  EXPECT_THAT(never->shown, testing::ElementsAre("OWNER_UNAVAILABLE")) << "it has no end";
}

TEST_F(ReadPathTest, ReadsL2WhileNobodyOwnsTheSlots) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(1), SetOf(key, "v"));
  TestNode fresh("n9", clock_, store_, peers_, timers_, /*l1_only=*/false, {});
  EXPECT_EQ(Show(ReadOne(fresh, key)), "v@L2");
  EXPECT_EQ(fresh.engine().entries(), 0);
  TestNode lonely("n9", clock_, no_l2_, peers_, timers_, /*l1_only=*/true, {});
  EXPECT_EQ(Show(ReadOne(lonely, key)), "NO_OWNER");
}

TEST_F(ReadPathTest, L2DownLeavesL1HitsAndMarksTheRest) {
  StartNodes(1);
  WriteOne(node(0), SetOf("hot", "v"));
  store_.SetAvailable(false);
  const std::vector<ReadResult> results = Read(node(0), {"hot", "cold"});
  EXPECT_EQ(Show(results[0]), "v@L1");
  EXPECT_EQ(results[1].state, EntryState::kError);
  EXPECT_EQ(results[1].error->code, grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ReadPathTest, ACorruptRecordIsDataLossOfItsKeyOnly) {
  StartNodes(1);
  WriteOne(node(0), SetOf("good", "v"));
  WriteOne(node(0), SetOf("bad", "some longer value"));
  std::string bytes = *store_.Peek(kSpace, "bad");
  bytes.back() ^= 1;
  store_.Plant(L2Key{SlotOf(kSpace, "bad"), kSpace, "bad"}, bytes, absl::Hours(1));
  store_.Plant(L2Key{SlotOf(kSpace, "junk"), kSpace, "junk"}, "no record", absl::Hours(1));
  node(0).engine().Clear();
  const std::vector<ReadResult> results = Read(node(0), {"bad", "good", "junk"});
  EXPECT_EQ(Show(results[0]), "CORRUPT_RECORD");
  EXPECT_EQ(results[0].error->code, grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(Show(results[1]), "v@L2");
  EXPECT_EQ(Show(results[2]), "CORRUPT_RECORD");
}

TEST_F(ReadPathTest, AnExpiredValueIsAMissUnlessTheCallerAllowsStale) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(10)));
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss");
  clock_.Advance(absl::Seconds(4));
  ReadOptions stale;
  stale.max_stale = absl::Seconds(3);
  EXPECT_EQ(Show(ReadOne(node(0), "k", stale)), "miss");
  stale.max_stale = absl::Seconds(5);
  const ReadResult result = ReadOne(node(0), "k", stale);
  EXPECT_EQ(Show(result), "v@L2 stale");
  EXPECT_EQ(result.ttl, absl::ZeroDuration());
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss") << "a stale value must not enter L1";
}

TEST_F(ReadPathTest, ADeletedValueIsNeverStale) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(10)));
  WriteOne(node(0), InvalidateOf("k"));
  ReadOptions stale;
  stale.max_stale = absl::Hours(1);
  EXPECT_EQ(Show(ReadOne(node(0), "k", stale)), "miss");
}

TEST_F(ReadPathTest, ForceRefreshReadsL2) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "old"));
  // Another region's write that the changelog has not brought here yet.
  Record record;
  record.version = Version{node(0).versions().last() + 1, RegionId("eu")};
  record.expires_at = clock_.Now() + absl::Hours(1);
  record.value = "new";
  record.raw_size = 3;
  std::string bytes;
  AppendRecord(record, &bytes);
  store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "old@L1");
  ReadOptions refresh;
  refresh.force_refresh = true;
  EXPECT_EQ(Show(ReadOne(node(0), "k", refresh)), "new@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "new@L1");
}

TEST_F(ReadPathTest, AFillNeverBringsBackWhatAWriteHasReplacedMeanwhile) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v1"));
  node(0).engine().Clear();
  ReadRequest request;
  request.name_space = kSpace;
  request.keys = {"k"};
  request.deadline = clock_.Now() + absl::Seconds(1);
  store_.HoldReplies();
  std::string shown;
  node(0).reads().Read(request,
                       [&](std::vector<ReadResult> results) { shown = Show(results[0]); });
  executor_.RunDue();  // L2 has read v1; its answer is on the way.
  WriteRequest write;
  write.name_space = kSpace;
  write.items = {InvalidateOf("k")};
  write.deadline = request.deadline;
  bool written = false;
  node(0).writes().Write(write, [&](std::vector<WriteResult>) { written = true; });
  executor_.RunDue();
  // The delete's answer overtakes the read's.
  node(0).engine().Erase(node(0).KeyOf("k"), node(0).versions().Next());
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_TRUE(written);
  EXPECT_EQ(shown, "v1@L2") << "the read began before the delete";
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss");
}

TEST_F(ReadPathTest, L1TtlOfThePolicyBoundsWhatAFillKeeps) {
  PolicyTable policies;
  ASSERT_TRUE(policies.ReadText("test.yaml", "task: {l1_ttl: 5s}").ok());
  StartNodes(1, false, policies);
  WriteOne(node(0), SetOf("k", "v", absl::Seconds(60)));
  const absl::Duration ttl = ReadOne(node(0), "k").ttl;
  EXPECT_LE(ttl, absl::Seconds(5));
  EXPECT_GE(ttl, absl::Milliseconds(4750)) << "5 % of jitter";
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
}

TEST_F(ReadPathTest, CountsHitsByTier) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  Read(node(0), {"k", "k", "absent"});
  node(0).engine().Clear();
  ReadOne(node(0), "k");
  const NamespaceCounters& counters = node(0).context().namespaces.Resolve(kSpace)->counters;
  EXPECT_EQ(counters.l1_hits, 2);
  EXPECT_EQ(counters.l2_hits, 1);
  EXPECT_EQ(counters.misses, 1);
}

TEST_F(ReadPathTest, OneNamespaceTooManyIsRefused) {
  StartNodes(1);
  for (size_t i = 0; i < Engine::kMaxNamespaces; ++i) {
    ASSERT_NE(node(0).context().namespaces.Resolve(absl::StrCat("space-", i)), nullptr);
  }
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "TOO_MANY_NAMESPACES");
}

}  // namespace
}  // namespace meridian
