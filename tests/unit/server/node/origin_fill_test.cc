// Misses that an origin fills: what callers see, what is stored, and what never is.

#include <deque>
#include <random>

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

TEST_F(OriginFillTest, ADeleteDuringTheLoadKeepsTheOldValueOut) {
  Start(1);
  origin_.rows["k"] = "old";
  const auto before = Begin({"k"});
  ASSERT_EQ(origin_.loads, 1);
  origin_.rows["k"] = "new";
  EXPECT_EQ(WriteOne(node(0), InvalidateOf("k")).state, EntryState::kOk);
  const auto after = Begin({"k"});
  EXPECT_EQ(origin_.loads, 2) << "who asks after the delete does not share the load before it";
  Settle();
  EXPECT_THAT(before->shown, ElementsAre("old@origin"));
  EXPECT_THAT(after->shown, ElementsAre("new@origin"));
  EXPECT_EQ(ReadThrough("k"), "new@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "new@L2");
  EXPECT_EQ(counters().overtaken, 1);
}

TEST_F(OriginFillTest, AWriteDuringTheLoadWins) {
  Start(1);
  origin_.rows["k"] = "old";
  const auto before = Begin({"k"});
  WriteOne(node(0), SetOf("k", "written"));
  Settle();
  EXPECT_EQ(ReadThrough("k"), "written@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "written@L2");
}

TEST_F(OriginFillTest, AFenceDuringTheLoadKeepsTheOldValueOut) {
  for (const FenceScope scope : {FenceScope::kPrefix, FenceScope::kTag, FenceScope::kNamespace}) {
    nodes_.clear();
    Start(1);
    const std::string key = absl::StrCat("p:", static_cast<int>(scope));
    origin_.template_answer.tags = {"t"};
    origin_.rows[key] = "old";
    const auto before = Begin({key});
    origin_.rows[key] = "new";
    PutFence(scope);
    const auto after = Begin({key});
    // Which a tag's fence covers is known when the value is there; then it is loaded again.
    const int at_once = scope == FenceScope::kTag ? 1 : 2;
    EXPECT_EQ(origin_.loads_of[key], at_once) << "who asks after the fence does not share the load";
    Settle();
    EXPECT_EQ(origin_.loads_of[key], 2);
    EXPECT_THAT(before->shown, ElementsAre("old@origin"));
    EXPECT_THAT(after->shown, ElementsAre("new@origin"));
    EXPECT_EQ(ReadThrough(key), "new@L1");
    node(0).engine().Clear();
    EXPECT_EQ(ReadThrough(key), "new@L2");
  }
}

// Defects once: each began a load of its own.
TEST_F(OriginFillTest, WhatDoesNotConcernAKeyBeginsNoSecondLoadOfIt) {
  Start(1);
  origin_.rows["q:k"] = "v";
  const WriteResult deleted = WriteOne(node(0), InvalidateOf("q:k"));
  const auto first = Begin({"q:k"});
  for (int n = 0; n < 2000; ++n) WriteOne(node(0), InvalidateOf(absl::StrCat("other ", n)));
  const auto second = Begin({"q:k"});
  PutFence(FenceScope::kPrefix);
  PutFence(FenceScope::kTag);
  const auto third = Begin({"q:k"});
  node(0).engine().Erase(node(0).KeyOf("q:k"), deleted.version);  // By the changelog, once more.
  const auto fourth = Begin({"q:k"});
  EXPECT_EQ(origin_.loads_of["q:k"], 1);
  Settle();
  for (const auto& reader : {first, second, third, fourth}) {
    EXPECT_THAT(reader->shown, ElementsAre("v@origin"));
  }
  EXPECT_EQ(origin_.loads_of["q:k"], 1);
  EXPECT_EQ(ReadThrough("q:k"), "v@L1") << "and the value is kept";
  EXPECT_TRUE(IsQuiet());
}

TEST_F(OriginFillTest, AnOldValueIsNotGivenToWhoKnowsOfItsDeleteThoughTheLoadIsNewer) {
  Start(1, ", soft_timeout: 50ms");
  origin_.rows["k"] = "old";
  EXPECT_EQ(ReadThrough("k"), "old@origin");
  clock_.Advance(absl::Seconds(65));
  const Version deleted = node(0).versions().Next();  // Not known to L2's answer below, nor here.
  const auto lenient = Begin({"k"}, Stale());
  node(0).engine().Erase(node(0).KeyOf("k"), deleted);  // The changelog tells it.
  const auto after = Begin({"k"}, Stale());
  EXPECT_EQ(origin_.loads, 2) << "what is loaded is newer than the delete";
  executor_.RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(after->shown.empty());
  origin_.rows["k"] = "new";
  origin_.fails = true;
  Settle();
  EXPECT_THAT(after->shown, testing::Not(ElementsAre("old@L2 stale")));
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

// The origin's rows change, each change is followed by a delete or a fence, and loads take their
// time: who reads after that was acknowledged never sees what was before it.
TEST_F(OriginFillTest, NoHistoryOfDeletesAndLoadsLetsAnOldValueIn) {
  Start(1, ", negative_ttl: 1s");
  std::mt19937_64 random(7);
  const auto upto = [&](uint64_t n) { return random() % n; };
  const Strings keys = {"p:a", "p:b", "q:c"};
  origin_.template_answer.tags = {"t"};
  std::map<std::string, int> acknowledged;  // The oldest value that may be answered.
  std::map<std::string, int> current;
  std::map<std::string, int> fenced;
  struct Reader {
    std::shared_ptr<Pending> pending;
    std::string key;
    int least;
  };
  std::deque<Reader> readers;
  for (const std::string& key : keys) origin_.rows[key] = "0";
  int checked = 0;
  for (int round = 0; round < 100'000; ++round) {
    const std::string& key = keys[upto(keys.size())];
    switch (upto(24)) {
      case 0: {  // An update of many rows, then one fence.
        if (upto(4) != 0) break;
        const uint64_t scope = upto(3);
        for (const std::string& one : keys) {
          if (scope == 0 && one[0] != 'p') continue;
          const int value = ++current[one];
          origin_.rows[one] = std::to_string(value);
          fenced[one] = value;
        }
        PutFence(scope == 0   ? FenceScope::kPrefix
                 : scope == 1 ? FenceScope::kTag
                              : FenceScope::kNamespace);
        for (const auto& [one, value] : fenced) acknowledged[one] = value;
        fenced.clear();
        break;
      }
      case 1:
      case 2:
      case 3:
        origin_.rows[key] = std::to_string(++current[key]);
        break;
      case 4:
      case 5:
      case 6:
      case 7: {  // An update of the service: the database first, then the cache.
        const int value = ++current[key];
        origin_.rows[key] = std::to_string(value);
        ASSERT_EQ(WriteOne(node(0), InvalidateOf(key)).state, EntryState::kOk);
        acknowledged[key] = value;
        break;
      }
      case 8:
      case 9:
      case 10:
      case 11:
        if (!origin_.waiting.empty()) {
          // Loads are answered in any order.
          std::swap(origin_.waiting.front(), origin_.waiting[upto(origin_.waiting.size())]);
          origin_.AnswerOne();
          executor_.RunDue();
        }
        break;
      case 12:
      case 13:
      case 14:
      case 15:
        if (upto(20) == 0) node(0).engine().Clear();
        clock_.Advance(absl::Microseconds(static_cast<int64_t>(upto(3000))));
        break;
      default:
        readers.push_back(
            {Begin({key}, upto(8) == 0 ? Force() : ReadOptions()), key, acknowledged[key]});
    }
    while (!readers.empty() && !readers.front().pending->shown.empty()) {
      const Reader& reader = readers.front();
      const ReadResult& result = reader.pending->results[0];
      if (result.state == EntryState::kOk) {
        const int value = std::stoi(std::string(result.value.view()));
        ASSERT_GE(value, reader.least) << "round " << round << ", key " << reader.key;
        ++checked;
      }
      readers.pop_front();
    }
  }
  Settle();
  EXPECT_GT(checked, 10'000);
  EXPECT_GT(counters().overtaken, 100);
  for (const std::string& key : keys) {
    const std::string shown = ReadThrough(key);
    EXPECT_GE(std::stoi(shown), acknowledged[key]) << shown;
  }
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

TEST_F(OriginFillTest, AnOldValueThatAFenceKillsDuringTheLoadIsGivenToNobody) {
  Start(1, ", soft_timeout: 50ms");
  origin_.rows["p:k"] = "old";
  EXPECT_EQ(ReadThrough("p:k"), "old@origin");
  clock_.Advance(absl::Seconds(65));
  const auto lenient = Begin({"p:k"}, Stale());
  PutFence(FenceScope::kPrefix);
  executor_.RunFor(absl::Milliseconds(50));
  EXPECT_TRUE(lenient->shown.empty());
  origin_.fails = true;
  const auto after = Begin({"p:k"}, Stale());
  Settle();
  EXPECT_THAT(after->shown, ElementsAre("ORIGIN_UNAVAILABLE"));
  EXPECT_EQ(lenient->shown.size(), 1);
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

// The load of an owner that is cut off goes on there: the next owner loads for itself, and the old
// answer, which comes after a delete that the next one took, is nobody's.
TEST_F(OriginFillTest, WhenTheOwnerDiesDuringALoadAnotherLoadsAndTheOldAnswerIsNobodys) {
  Start(2);
  const std::string key = KeyOwnedBy(1);
  origin_.rows[key] = "old";
  const auto waiting = Begin({key}, {}, 0);
  ASSERT_EQ(origin_.loads, 1) << "by the owner";
  origin_.rows[key] = "new";
  peers_.Die("n1", absl::UnavailableError("connection reset"));
  executor_.RunDue();
  EXPECT_EQ(origin_.loads, 2) << "around it";
  node(0).topology().Offer(TopologyOf(2, {"n0"}));
  origin_.rows[key] = "newest";
  ASSERT_EQ(WriteOne(node(0), InvalidateOf(key)).state, EntryState::kOk);
  const auto after = Begin({key}, {}, 0);
  EXPECT_EQ(origin_.loads, 3) << "by the next owner";
  Settle();
  EXPECT_THAT(waiting->shown, ElementsAre("new@origin"));
  EXPECT_THAT(after->shown, ElementsAre("newest@origin"));
  EXPECT_EQ(ReadThrough(key), "newest@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough(key), "newest@L2");
  Entry entry;
  EXPECT_FALSE(node(1).engine().Peek(node(1).KeyOf(key), clock_.Monotonic(), &entry));
  EXPECT_EQ(counters(0).overtaken + counters(1).overtaken, 2);
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
