// Writes, deletes, fences and deaths while an origin is asked: an old value never comes in.

#include <deque>
#include <random>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class OriginRaceTest : public OriginFixture {};

TEST_F(OriginRaceTest, ADeleteDuringTheLoadKeepsTheOldValueOut) {
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

TEST_F(OriginRaceTest, AWriteDuringTheLoadWins) {
  Start(1);
  origin_.rows["k"] = "old";
  const auto before = Begin({"k"});
  WriteOne(node(0), SetOf("k", "written"));
  Settle();
  EXPECT_EQ(ReadThrough("k"), "written@L1");
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "written@L2");
}

TEST_F(OriginRaceTest, AFenceDuringTheLoadKeepsTheOldValueOut) {
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
TEST_F(OriginRaceTest, WhatDoesNotConcernAKeyBeginsNoSecondLoadOfIt) {
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

TEST_F(OriginRaceTest, AnOldValueIsNotGivenToWhoKnowsOfItsDeleteThoughTheLoadIsNewer) {
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

// The origin's rows change, each change is followed by a delete or a fence, and loads take their
// time: who reads after that was acknowledged never sees what was before it.
TEST_F(OriginRaceTest, NoHistoryOfDeletesAndLoadsLetsAnOldValueIn) {
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

TEST_F(OriginRaceTest, AnOldValueThatAFenceKillsDuringTheLoadIsGivenToNobody) {
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

// The load of an owner that is cut off goes on there: the next owner loads for itself, and the old
// answer, which comes after a delete that the next one took, is nobody's.
TEST_F(OriginRaceTest, WhenTheOwnerDiesDuringALoadAnotherLoadsAndTheOldAnswerIsNobodys) {
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

}  // namespace
}  // namespace meridian
