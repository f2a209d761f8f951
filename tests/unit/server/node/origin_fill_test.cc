// Misses that an origin fills: what callers see, what is stored, and what never is.

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class OriginFillTest : public OriginFixture {};

TEST_F(OriginFillTest, Requirement3_08_AMissIsLoadedOnceAndStoredInBothTiers) {
  Start(1);
  origin_.rows["k"] = "v";
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 1000; ++i) readers.push_back(Begin({"k"}));
  EXPECT_EQ(origin_.loads, 1);
  Settle();
  for (const auto& reader : readers) EXPECT_THAT(reader->shown, ElementsAre("v@origin"));
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "v@L2");
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(counters().answers, 1000);
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, OneLoadPerKeyWhicheverNodeIsAsked) {
  Start(3);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "v";
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 300; ++i) readers.push_back(Begin({key}, {}, i % 3));
  Settle();
  for (const auto& reader : readers) EXPECT_THAT(reader->shown, ElementsAre("v@origin"));
  EXPECT_EQ(origin_.loads, 1);
}

TEST_F(OriginFillTest, WithoutRedisAValueIsLoadedOnceIntoL1) {
  Start(1, "", "", /*l1_only=*/true);
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(ReadThrough("absent"), "miss@origin");
  EXPECT_EQ(ReadThrough("absent"), "miss@L1");
  EXPECT_EQ(origin_.loads, 2);
}

TEST_F(OriginFillTest, WhileRedisIsDownLoadsWorkAndStayInL1) {
  Start(1);
  origin_.rows["k"] = "v";
  store_.SetAvailable(false);
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(origin_.loads, 1);
}

TEST_F(OriginFillTest, AnAbsentKeyIsRememberedForItsShortTtl) {
  Start(1, ", negative_ttl: 10s");
  EXPECT_EQ(ReadThrough("k"), "miss@origin");
  EXPECT_EQ(ReadThrough("k"), "miss@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "miss@L2");
  EXPECT_EQ(ReadThrough("k"), "miss@L1");
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(counters().negative_hits, 3);
  clock_.Advance(absl::Seconds(10));
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
}

TEST_F(OriginFillTest, AWriteReplacesTheKnowledgeThatThereIsNothing) {
  Start(1);
  EXPECT_EQ(ReadThrough("k"), "miss@origin");
  WriteItem absent = SetOf("k", "v");
  absent.if_absent = true;
  EXPECT_EQ(WriteOne(node(0), absent).state, EntryState::kOk);
  EXPECT_EQ(ReadThrough("k"), "v@L1");
}

TEST_F(OriginFillTest, AValueIsGoneWhenTheOriginSaysSoAlsoIfThatIsNotRemembered) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    Start(1, ", negative_ttl: 0", "", l1_only);
    const std::string key = l1_only ? "k1" : "k2";
    origin_.rows[key] = "v";
    EXPECT_EQ(ReadThrough(key), "v@origin");
    origin_.rows.erase(key);
    EXPECT_EQ(ReadThrough(key), "v@L1");
    EXPECT_EQ(ReadThrough(key, Force()), "miss@origin");
    EXPECT_EQ(ReadThrough(key), "miss@origin") << "neither the value nor its absence is kept";
    node(0).engine().Clear();
    EXPECT_EQ(ReadThrough(key, Stale()), "miss@origin");
  }
  const absl::StatusOr<Record> record = ParseRecord(*store_.Peek(kSpace, "k2"));
  ASSERT_TRUE(record.ok());
  EXPECT_EQ(record->kind, RecordKind::kTombstone);
  EXPECT_EQ(ReadThrough("never there", Force()), "miss@origin");
  EXPECT_FALSE(store_.Peek(kSpace, "never there").has_value()) << "nothing was to be removed";
}

TEST_F(OriginFillTest, AHotValueThatTheOriginHasNoMoreGoesAheadOfItsEnd) {
  Start(1, ", negative_ttl: 0", ", refresh: {ahead: 20%}");
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  origin_.rows.erase("k");
  clock_.Advance(absl::Seconds(49));
  EXPECT_EQ(ReadThrough("k"), "v@L1");
  EXPECT_EQ(ReadThrough("k"), "miss@origin");
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, AKeyThatIsLoadedIsNotLoadedAheadAsWell) {
  Start(1, "", ", refresh: {ahead: 20%}");
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  clock_.Advance(absl::Seconds(49));
  const auto forced = Begin({"k"}, Force());
  EXPECT_EQ(origin_.loads, 2);
  EXPECT_THAT(Begin({"k"})->shown, ElementsAre("v@L1"));
  EXPECT_EQ(origin_.loads, 2);
  Settle();
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, AnErrorOfTheOriginIsTheKeysAndIsNotRemembered) {
  Start(1);
  origin_.fails = true;
  EXPECT_EQ(ReadThrough("k"), "ORIGIN_UNAVAILABLE");
  origin_.fails = false;
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
}

TEST_F(OriginFillTest, AnOriginThatIsDownCostsNoHit) {
  Start(1);
  origin_.rows["hot"] = "v";
  EXPECT_EQ(ReadThrough("hot"), "v@origin");
  origin_.fails = true;
  const auto batch = Begin({"hot", "cold"});
  Settle();
  EXPECT_THAT(batch->shown, ElementsAre("v@L1", "ORIGIN_UNAVAILABLE"));
}

TEST_F(OriginFillTest, AnOldValueIsAnsweredOnlyToWhoAllowsItWhenTheOriginFails) {
  Start(1);
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  clock_.Advance(absl::Seconds(65));
  origin_.fails = true;
  EXPECT_EQ(ReadThrough("k"), "ORIGIN_UNAVAILABLE");
  EXPECT_EQ(ReadThrough("k", Stale(absl::Seconds(3))), "ORIGIN_UNAVAILABLE") << "5 s old";
  EXPECT_EQ(ReadThrough("k", Stale()), "v@L2 stale");
  EXPECT_EQ(counters().stale_answers, 1);
  WriteOne(node(0), InvalidateOf("k"));
  EXPECT_EQ(ReadThrough("k", Stale()), "ORIGIN_UNAVAILABLE") << "deleted: never";
}

TEST_F(OriginFillTest, AtTheSoftTimeoutTheOldValueIsAnsweredAndTheLoadGoesOn) {
  Start(1, ", soft_timeout: 50ms");
  origin_.rows["k"] = "old";
  EXPECT_EQ(ReadThrough("k"), "old@origin");
  clock_.Advance(absl::Seconds(65));
  origin_.rows["k"] = "new";
  const auto strict = Begin({"k"});
  const auto lenient = Begin({"k"}, Stale());
  executor_.RunFor(absl::Milliseconds(49));
  EXPECT_TRUE(lenient->shown.empty());
  executor_.RunFor(absl::Milliseconds(1));
  EXPECT_THAT(lenient->shown, ElementsAre("old@L2 stale"));
  EXPECT_TRUE(strict->shown.empty());
  EXPECT_THAT(Begin({"k"}, Stale())->shown, ElementsAre("old@L2 stale")) << "at once from then on";
  EXPECT_EQ(origin_.loads, 2);
  Settle();
  EXPECT_THAT(strict->shown, ElementsAre("new@origin"));
  EXPECT_EQ(ReadThrough("k", Stale()), "new@L1");
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, Requirement4_03_ForceRefreshLoadsFromTheOrigin) {
  Start(1);
  origin_.rows["k"] = "v1";
  EXPECT_EQ(ReadThrough("k"), "v1@origin");
  origin_.rows["k"] = "v2";
  EXPECT_EQ(ReadThrough("k"), "v1@L1");
  EXPECT_EQ(ReadThrough("k", Force()), "v2@origin");
  EXPECT_EQ(ReadThrough("k"), "v2@L1");
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Begin({"k"}, Force()));
  Settle();
  for (const auto& reader : readers) EXPECT_THAT(reader->shown, ElementsAre("v2@origin"));
  EXPECT_EQ(origin_.loads, 4) << "the first alone, then all others together";
}

TEST_F(OriginFillTest, Requirement4_03_AForcedReadIsAnsweredWithALiveValueOnlyWhenTheLoadFails) {
  Start(1, ", soft_timeout: 50ms");
  origin_.rows["k"] = "v1";
  EXPECT_EQ(ReadThrough("k"), "v1@origin");
  origin_.rows["k"] = "v2";
  ReadOptions options = Stale();
  options.force_refresh = true;
  const auto forced = Begin({"k"}, options);
  executor_.RunFor(absl::Milliseconds(60));
  const auto joined = Begin({"k"}, options);
  EXPECT_TRUE(forced->shown.empty());
  EXPECT_TRUE(joined->shown.empty());
  Settle();
  EXPECT_THAT(forced->shown, ElementsAre("v2@origin"));
  EXPECT_THAT(joined->shown, ElementsAre("v2@origin"));
  origin_.fails = true;
  const auto failed = Begin({"k"}, options);
  Settle();
  EXPECT_THAT(failed->shown, ElementsAre("v2@L2 stale")) << "said to be old: nobody knows better";
  EXPECT_EQ(ReadThrough("k"), "v2@L1");
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, AForcedLoadThatRedisDoesNotConfirmIsKeptByItsOwnerAlone) {
  Start(1);
  origin_.rows["k"] = "old";
  EXPECT_EQ(ReadThrough("k"), "old@origin");
  origin_.rows["k"] = "new";
  const auto forced = Begin({"k"}, Force());
  store_.FailNext(absl::UnavailableError("L2_UNAVAILABLE: away"));
  Settle();
  EXPECT_EQ(forced->shown, Strings{"new@origin"});
  EXPECT_EQ(ReadThrough("k"), "new@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "old@L2");
}

TEST_F(OriginFillTest, ACallerWhoseDeadlineComesLeavesAndTheValueIsStored) {
  Start(1);
  origin_.rows["k"] = "v";
  const auto hurried = Begin({"k"}, {}, 0, absl::Milliseconds(100));
  executor_.RunFor(absl::Milliseconds(95));
  EXPECT_THAT(hurried->shown, ElementsAre("DEADLINE_EXCEEDED"));
  Settle();
  EXPECT_EQ(ReadThrough("k"), "v@L1");
}

TEST_F(OriginFillTest, AForwardedReadWaitsForTheLoadUntilItsWholeDeadline) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "v";
  const auto reader = Begin({key}, {}, 0);  // An attempt at the owner has half of the second.
  executor_.RunFor(absl::Milliseconds(900));
  EXPECT_TRUE(reader->shown.empty());
  Settle();
  EXPECT_THAT(reader->shown, ElementsAre("v@origin"));
  EXPECT_EQ(origin_.loads, 1);
}

TEST_F(OriginFillTest, AnOwnerWhoseWordIsLateIsAskedOnceMoreAndNothingIsLoadedBesideIt) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "v";
  const auto reader = Begin({key}, {}, 0);
  executor_.RunFor(absl::Milliseconds(100));
  peers_.TimeOut("n1");
  executor_.RunFor(absl::Milliseconds(100));
  EXPECT_TRUE(reader->shown.empty());
  Settle();
  EXPECT_THAT(reader->shown, ElementsAre("v@origin"));
  EXPECT_EQ(origin_.loads, 1);
  // The second time it is taken for dead.
  const std::string other = KeyOwnedBy(1, 1);
  origin_.rows[other] = "w";
  const auto again = Begin({other}, {}, 0);
  executor_.RunFor(absl::Milliseconds(10));
  peers_.TimeOut("n1");
  executor_.RunFor(absl::Milliseconds(10));
  peers_.TimeOut("n1");
  Settle();
  EXPECT_THAT(again->shown, ElementsAre("w@origin"));
  EXPECT_EQ(origin_.loads, 3) << "one at the owner, and one around it";
}

TEST_F(OriginFillTest, AroundADeadOwnerTheOriginIsAskedAndNothingEntersL1) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "v";
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  EXPECT_EQ(ReadThrough(key), "v@origin");
  EXPECT_EQ(ReadThrough(key), "v@L2");
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(OriginFillTest, TheOriginsOwnTtlHoldsAndACorruptRecordIsReplaced) {
  Start(1);
  origin_.rows["k"] = "v";
  origin_.template_answer.ttl = absl::Seconds(5);
  origin_.template_answer.tags = {"project:7"};
  store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, "no record", absl::Hours(1));
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  Entry entry;
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf("k"), clock_.Monotonic(), &entry));
  EXPECT_EQ(entry.expires_at - clock_.Monotonic(), absl::Seconds(5));
  EXPECT_EQ(entry.tags.view(), EncodeTags({"project:7"}));
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(ReadThrough("k"), "v@origin");
}

TEST_F(OriginFillTest, CostlyValuesWeighMore) {
  Start(1);
  for (int i = 0; i < 20; ++i) {
    const std::string key = absl::StrCat("k", i);
    origin_.rows[key] = "v";
    origin_.template_answer.cost = i < 19 ? 10 : 80;
    EXPECT_EQ(ReadThrough(key), "v@origin");
  }
  Entry cheap;
  Entry costly;
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf("k0"), clock_.Monotonic(), &cheap));
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf("k19"), clock_.Monotonic(), &costly));
  EXPECT_EQ(cheap.weight, 0);
  EXPECT_EQ(costly.weight, 3);
}

TEST_F(OriginFillTest, AHotValueIsLoadedAheadOfItsEnd) {
  Start(1, "", ", refresh: {ahead: 20%}");
  origin_.rows["k"] = "v1";
  EXPECT_EQ(ReadThrough("k"), "v1@origin");
  origin_.rows["k"] = "v2";
  clock_.Advance(absl::Seconds(47));
  EXPECT_EQ(ReadThrough("k"), "v1@L1");
  EXPECT_EQ(origin_.loads, 1);
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(ReadThrough("k"), "v1@L1") << "nobody waits for it";
  EXPECT_EQ(origin_.loads, 2);
  EXPECT_EQ(ReadThrough("k"), "v2@L1");
}

TEST_F(OriginFillTest, OfAnInvalidateOnlyNamespaceALoadIsNoChangeForOthers) {
  Start(1, "", ", replication: invalidate_only");
  origin_.rows["k"] = "v";
  EXPECT_EQ(ReadThrough("k"), "v@origin");
  bool asked = false;
  store_.ReadLogs({{SlotOf(kSpace, "k"), {}}}, 10, clock_.Now() + absl::Seconds(1),
                  [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                    asked = true;
                    EXPECT_TRUE(slices->empty());
                  });
  executor_.RunDue();
  EXPECT_TRUE(asked);
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "v@L2");
}

}  // namespace
}  // namespace meridian
