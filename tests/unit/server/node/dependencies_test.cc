// Entries that depend on others: what dies with what, and where it ends.

#include "server/node/dependencies.h"

#include <random>
#include <set>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class DependenciesTest : public OriginFixture {
 protected:
  WriteItem DependentOf(std::string_view key, Strings depends_on, Strings tags = {}) {
    WriteItem item = SetOf(key, "made of others");
    item.depends_on = std::move(depends_on);
    item.tags = std::move(tags);
    return item;
  }
  WriteResult Put(std::string_view key, Strings depends_on = {}, Strings tags = {}, int at = 0) {
    WriteResult result =
        WriteOne(node(at), DependentOf(key, std::move(depends_on), std::move(tags)));
    EXPECT_EQ(result.state, EntryState::kOk) << key;
    return result;
  }
  // As CacheService does it: the key, then what depends on it.
  void Cascade(const std::string& key, int at = 0) {
    EXPECT_EQ(WriteOne(node(at), InvalidateOf(key)).state, EntryState::kOk);
    Fence(FenceScope::kTag, DependencyTag(key), at);
  }
  void Fence(FenceScope scope, const std::string& name, int at = 0) {
    FenceRequest request;
    request.name_space = kSpace;
    request.scope = scope;
    request.name = name;
    request.deadline = clock_.Now() + absl::Seconds(1);
    peers_.SetAsker(&node(at).context());
    bool done = false;
    node(at).fence_path().Invalidate(std::move(request), [&](FenceResult result) {
      EXPECT_EQ(result.result.state, EntryState::kOk);
      EXPECT_TRUE(result.unconfirmed.empty());
      done = true;
    });
    executor_.RunDue();
    EXPECT_TRUE(done);
  }
  // The keys that are alive, in L1 and, when it is empty, in L2.
  Strings Alive(const Strings& keys, int at = 0) {
    Strings alive;
    for (const std::string& key : keys) {
      const bool here = ReadOne(node(at), key).state == EntryState::kOk;
      if (here) alive.push_back(key);
    }
    for (auto& one : nodes_) one->engine().Clear();
    for (const std::string& key : keys) {
      const bool listed = std::find(alive.begin(), alive.end(), key) != alive.end();
      EXPECT_EQ(ReadOne(node(at), key).state == EntryState::kOk, listed) << key;
    }
    return alive;
  }
  Strings TagsOf(const std::string& key, int at = 0) {
    Entry entry;
    EXPECT_TRUE(node(at).engine().Peek(node(at).KeyOf(key), clock_.Monotonic(), &entry));
    return DecodeTags(entry.tags.view()).value_or(Strings());
  }
};

TEST_F(DependenciesTest, TheTagOfAKeyIsFrozen) {
  EXPECT_EQ(DependencyTag("project:7"), std::string("\0", 1) + "iBaP31Maqvw");
  EXPECT_NE(DependencyTag("a"), DependencyTag("b"));
  EXPECT_EQ(DependencyTag(std::string(1024, '\xff')).size(), 12);
}

TEST_F(DependenciesTest, Line2_16ACascadeReachesWhatWasMadeOfWhatWasMadeOfTheKeyAndNothingElse) {
  Start(1, nullptr);
  Put("project:7");
  Put("project:8");
  Put("branch:7", {"key:project:7"});
  Put("task:7", {"key:branch:7"});
  Put("list", {"key:task:7", "key:project:8"});
  Put("task:8", {"key:project:8"});
  const Strings all = {"project:7", "project:8", "branch:7", "task:7", "list", "task:8"};
  EXPECT_EQ(Alive(all), all);
  Cascade("project:7");
  EXPECT_THAT(Alive(all), ElementsAre("project:8", "task:8"));
  Put("task:7", {"key:branch:7"});
  EXPECT_THAT(Alive(all), ElementsAre("project:8", "task:7", "task:8")) << "written since: lives";
}

TEST_F(DependenciesTest, AnInvalidationWithoutCascadeKillsTheKeyAlone) {
  Start(1, nullptr);
  Put("a");
  Put("b", {"key:a"});
  WriteOne(node(0), InvalidateOf("a"));
  EXPECT_THAT(Alive({"a", "b"}), ElementsAre("b"));
}

TEST_F(DependenciesTest, WhatKillsAnEntryByItsTagsKillsWhatDependsOnIt) {
  Start(1, nullptr);
  Put("a", {}, {"t"});
  Put("b", {"key:a"});
  Put("c", {"tag:u"});
  Put("d", {"key:c"});
  Put("e");
  const Strings all = {"a", "b", "c", "d", "e"};
  Fence(FenceScope::kTag, "t");
  EXPECT_THAT(Alive(all), ElementsAre("c", "d", "e"));
  Fence(FenceScope::kTag, "u");
  EXPECT_THAT(Alive(all), ElementsAre("e"));
}

TEST_F(DependenciesTest, AKeyThatIsNotThereCanBeDependedOn) {
  Start(1, nullptr);
  const WriteResult result = Put("b", {"key:absent"});
  EXPECT_FALSE(result.dependencies_cut);
  EXPECT_TRUE(result.dependencies_unknown);
  EXPECT_EQ(counters().dependencies_unknown, 1);
  Cascade("absent");
  EXPECT_THAT(Alive({"b"}), ElementsAre());
}

TEST_F(DependenciesTest, WhatIsMadeOfWhatIsNotThereSaysSoAndSoDoesWhatIsMadeOfThat) {
  Start(1, nullptr);
  Put("project");
  EXPECT_FALSE(Put("branch", {"key:project"}).dependencies_unknown);
  // Deleted: its tombstone does not say what it was made from.
  Cascade("branch");
  EXPECT_TRUE(Put("task", {"key:branch"}).dependencies_unknown);
  EXPECT_TRUE(Put("list", {"key:task"}).dependencies_unknown) << "by way of the task";
  EXPECT_EQ(counters().dependencies_unknown, 2);
  Cascade("project");
  EXPECT_THAT(Alive({"task", "list"}), ElementsAre("task", "list")) << "that is what was said";

  // A TTL that has ended leaves nothing after the grace.
  WriteItem brief = DependentOf("brief", {"tag:t"});
  brief.ttl = absl::Seconds(1);
  EXPECT_EQ(WriteOne(node(0), std::move(brief)).state, EntryState::kOk);
  EXPECT_FALSE(Put("x", {"key:brief"}).dependencies_unknown);
  executor_.RunFor(absl::Seconds(2) + kExpiryGrace);
  EXPECT_TRUE(Put("x", {"key:brief"}).dependencies_unknown);

  // Whoever is made of what is there, or of a tag, or of itself, knows all.
  Put("base");
  EXPECT_FALSE(Put("y", {"key:base", "tag:t", "key:y"}).dependencies_unknown);
  EXPECT_EQ(counters().dependencies_cut, 0);
}

TEST_F(DependenciesTest, WhatIsMadeOfWhatWasCutSaysSo) {
  Start(2, nullptr, "", /*l1_only=*/true);
  const std::string theirs = KeyOwnedBy(1);
  const std::string cut = KeyOwnedBy(0, 1);
  EXPECT_TRUE(Put(cut, {"key:" + theirs}).dependencies_cut);
  const WriteResult result = Put(KeyOwnedBy(0, 2), {"key:" + cut});
  EXPECT_TRUE(result.dependencies_cut) << "it could be read, but does not know all itself";
  EXPECT_FALSE(result.dependencies_unknown);
  EXPECT_EQ(counters().dependencies_cut, 2);
}

TEST_F(DependenciesTest, CirclesEnd) {
  Start(1, nullptr);
  Put("a", {"key:a"});
  EXPECT_TRUE(TagsOf("a").empty()) << "nothing depends on itself";
  for (int round = 0; round < 3; ++round) {
    Put("a", {"key:c"});
    Put("b", {"key:a"});
    Put("c", {"key:b"});
  }
  // The two others, and that the first of them was made of what was not there.
  EXPECT_EQ(TagsOf("a").size(), 3);
  EXPECT_EQ(TagsOf("c").size(), 3);
  EXPECT_EQ(TagsOf("c").back(), kDependenciesUnknownMark);
  Cascade("b");
  EXPECT_THAT(Alive({"a", "b", "c"}), ElementsAre());
  Put("b", {"key:a"});
  EXPECT_THAT(Alive({"a", "b", "c"}), ElementsAre("b"));
}

TEST_F(DependenciesTest, WhatIsNamedIsKeptAndWhatIsInheritedIsCutAndSaid) {
  Start(1, nullptr);
  // 32 entries with 32 tags each: more than an entry can have.
  Strings depends_on;
  for (int i = 0; i < 32; ++i) {
    const std::string key = absl::StrCat("k", i);
    Strings tags;
    for (int t = 0; t < 32; ++t) tags.push_back(absl::StrCat("t", i, "-", t));
    EXPECT_FALSE(Put(key, {}, tags).dependencies_cut);
    depends_on.push_back("key:" + key);
  }
  Strings own;
  for (int t = 0; t < 32; ++t) own.push_back(absl::StrCat("own", t));
  EXPECT_TRUE(Put("all", depends_on, own).dependencies_cut);
  Strings tags = TagsOf("all");
  EXPECT_EQ(tags.back(), kDependenciesCutMark);
  tags.pop_back();
  EXPECT_EQ(tags.size(), kMaxEntryTags);
  EXPECT_EQ(Strings(tags.begin(), tags.begin() + 32), own);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(tags[static_cast<size_t>(32 + i)], DependencyTag(absl::StrCat("k", i)));
  EXPECT_EQ(counters().dependencies_cut, 1);
  Cascade("k31");
  EXPECT_THAT(Alive({"all"}), ElementsAre());
}

TEST_F(DependenciesTest, ThroughAnyNodeAndFromAnyOwner) {
  Start(3, nullptr);
  const std::string base = KeyOwnedBy(0);
  const std::string middle = KeyOwnedBy(1);
  const std::string top = KeyOwnedBy(2);
  Put(base, {}, {}, 1);
  Put(middle, {"key:" + base}, {}, 2);
  EXPECT_FALSE(Put(top, {"key:" + middle}, {}, 0).dependencies_cut);
  EXPECT_EQ(Alive({base, middle, top}, 1).size(), 3);
  Cascade(base, 2);
  for (int at = 0; at < 3; ++at) EXPECT_THAT(Alive({base, middle, top}, at), ElementsAre());
}

TEST_F(DependenciesTest, AroundADeadOwnerAndInABatch) {
  Start(2, nullptr);
  const std::string mine = KeyOwnedBy(0);
  const std::string theirs = KeyOwnedBy(1);
  Put(mine, {}, {"t"});
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  std::vector<WriteItem> items;
  items.push_back(DependentOf(theirs, {"key:" + mine}));
  items.push_back(SetOf("plain", "v"));
  for (const WriteResult& result : Write(node(0), std::move(items))) {
    EXPECT_EQ(result.state, EntryState::kOk);
    EXPECT_FALSE(result.dependencies_cut);
  }
  PutFence(FenceScope::kTag);
  EXPECT_EQ(ReadOne(node(0), theirs).state, EntryState::kMiss);
  EXPECT_EQ(ReadOne(node(0), "plain").state, EntryState::kOk);
}

TEST_F(DependenciesTest, WhatCannotBeLookedAtIsSaid) {
  Start(2, nullptr, "", /*l1_only=*/true);
  const std::string mine = KeyOwnedBy(0);
  const std::string theirs = KeyOwnedBy(1);
  Put(mine, {}, {"t"});
  EXPECT_FALSE(Put(KeyOwnedBy(0, 1), {"key:" + mine}).dependencies_cut);
  EXPECT_TRUE(Put(KeyOwnedBy(0, 2), {"key:" + theirs}).dependencies_cut);
  Fence(FenceScope::kTag, "t");
  EXPECT_EQ(ReadOne(node(0), KeyOwnedBy(0, 1)).state, EntryState::kMiss);
  EXPECT_EQ(ReadOne(node(0), KeyOwnedBy(0, 2)).state, EntryState::kOk);
  Fence(FenceScope::kTag, DependencyTag(theirs));
  EXPECT_EQ(ReadOne(node(0), KeyOwnedBy(0, 2)).state, EntryState::kMiss) << "it named it itself";
}

TEST_F(DependenciesTest, ATouchKeepsThem) {
  Start(1, nullptr);
  Put("a");
  Put("b", {"key:a"});
  EXPECT_EQ(WriteOne(node(0), TouchOf("b", absl::Minutes(1))).state, EntryState::kOk);
  Cascade("a");
  EXPECT_THAT(Alive({"b"}), ElementsAre());
}

TEST_F(DependenciesTest, AnOriginsValueDependsOnWhatItSays) {
  Start(1);
  origin_.rows["a"] = "v";
  EXPECT_EQ(ReadThrough("a"), "v@origin");
  origin_.template_answer.depends_on = {"key:a", "tag:u"};
  origin_.rows["b"] = "of a";
  EXPECT_EQ(ReadThrough("b"), "of a@origin");
  origin_.template_answer.depends_on = {"key:b"};
  origin_.rows["c"] = "of b";
  EXPECT_EQ(ReadThrough("c"), "of b@origin");
  origin_.template_answer.depends_on = {};
  EXPECT_EQ(origin_.loads, 3);
  Cascade("a");
  for (const char* key : {"a", "b", "c"})
    EXPECT_NE(ReadThrough(key).find("@origin"), std::string::npos);
  EXPECT_EQ(origin_.loads, 6);
  EXPECT_EQ(ReadThrough("c"), "of b@L1");
}

TEST_F(DependenciesTest, AnOriginsValueIsAnsweredWhenWhatItDependsOnCannotBeRead) {
  Start(1);
  origin_.template_answer.depends_on = {"key:a"};
  origin_.rows["b"] = "v";
  const auto asked = Begin({"b"});
  store_.FailNext(absl::UnavailableError("connection refused"));  // The read of `a`.
  Settle();
  EXPECT_THAT(asked->shown, ElementsAre("v@origin"));
  EXPECT_EQ(counters().dependencies_cut, 1);
  EXPECT_EQ(ReadThrough("b"), "v@L1");
  Cascade("a");
  EXPECT_EQ(ReadThrough("b"), "v@origin") << "what it names itself it knows";
  EXPECT_EQ(counters().dependencies_cut, 1);
}

TEST_F(DependenciesTest, ACascadeDuringTheLoadKeepsTheOldValueOut) {
  Start(1);
  origin_.template_answer.depends_on = {"key:a"};
  origin_.rows["b"] = "old";
  const auto before = Begin({"b"});
  origin_.rows["b"] = "new";
  Cascade("a");
  const auto after = Begin({"b"});
  Settle();
  EXPECT_THAT(before->shown, ElementsAre("old@origin"));
  EXPECT_THAT(after->shown, ElementsAre("new@origin"));
  EXPECT_EQ(ReadThrough("b"), "new@L1");
}

// A write is as old as the moment at which it begins to look at what it depends on: whatever of
// that is invalidated from then on takes the new entry with it, at whichever step of the write.
TEST_F(DependenciesTest, WhatIsInvalidatedWhileTheEntryIsWrittenTakesItWithIt) {
  const std::vector<std::function<void()>> invalidations = {
      [this] { Cascade(KeyOwnedBy(0), 0); },        // What it depends on,
      [this] { Cascade(KeyOwnedBy(1), 1); },        // what that depends on,
      [this] { Fence(FenceScope::kTag, "t", 1); },  // and a tag that came from there.
  };
  Start(2, nullptr);
  for (const int writer : {0, 1}) {  // The owner itself, or a node that forwards to it.
    for (const bool conditional : {false, true}) {
      for (const bool known : {false, true}) {  // Whether the stores' answer is still on its way.
        for (size_t which = 0; which < invalidations.size(); ++which) {
          SCOPED_TRACE(absl::StrCat(writer, " ", conditional, " ", known, " ", which));
          Put(KeyOwnedBy(1), {}, {"t"});
          Put(KeyOwnedBy(0), {"key:" + KeyOwnedBy(1)});
          const std::string key = KeyOwnedBy(0, 1);
          WriteOne(node(0), InvalidateOf(key));
          WriteRequest request;
          request.name_space = kSpace;
          request.items.push_back(DependentOf(key, {"key:" + KeyOwnedBy(0)}));
          request.items[0].if_absent = conditional;
          request.deadline = clock_.Now() + absl::Seconds(1);
          std::vector<WriteResult> answer;
          const auto take = [&](std::vector<WriteResult> results) { answer = std::move(results); };
          if (!known) store_.HoldNextReply();
          node(writer).writes().Write(request, take);
          ASSERT_TRUE(executor_.RunOne()) << "the read of what it depends on";
          if (known) store_.HoldNextReply();  // Of what came next.
          executor_.RunDue();
          ASSERT_TRUE(answer.empty()) << "under way";
          invalidations[which]();
          store_.ReleaseReplies();
          executor_.RunDue();
          ASSERT_EQ(answer.size(), 1);
          ASSERT_EQ(answer[0].state, EntryState::kOk);
          EXPECT_THAT(Alive({key}), ElementsAre());
          Put(key, {"key:" + KeyOwnedBy(0)});
          EXPECT_THAT(Alive({key}), ElementsAre(key)) << "what is written after it lives";
        }
      }
    }
  }
}

TEST_F(DependenciesTest, WithoutAStoreAsWell) {
  Start(1, nullptr, "", /*l1_only=*/true);
  Put("a", {}, {"t"});
  Put("b", {"key:a"});
  Entry entry;
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf("b"), clock_.Monotonic(), &entry));
  EXPECT_LT(entry.written, entry.version.hlc) << "as old as the look at what it depends on";
  EXPECT_GT(entry.written, 0);
  Fence(FenceScope::kTag, "t");
  EXPECT_EQ(ReadOne(node(0), "b").state, EntryState::kMiss);
}

TEST_F(DependenciesTest, ALeaseThatIsFilledKeepsWhatTheValueDependsOn) {
  Start(1, nullptr);
  Put("a", {}, {"t"});
  const auto asked = Begin({"b"}, Lease());
  ASSERT_FALSE(asked->results.empty());
  WriteItem fill = FillOf("b", "v", asked->results[0].lease);
  fill.depends_on = {"key:a"};
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(fill))), "ok");
  EXPECT_EQ(TagsOf("b").size(), 2);
  Fence(FenceScope::kTag, "t");
  EXPECT_EQ(ReadOne(node(0), "b").state, EntryState::kMiss);

  // What is invalidated between the lease and the fill keeps the value out.
  const auto again = Begin({"b"}, Lease());
  ASSERT_FALSE(again->results.empty());
  WriteItem late = FillOf("b", "v", again->results[0].lease);
  late.depends_on = {"key:a"};
  Cascade("a");
  WriteOne(node(0), std::move(late));
  EXPECT_EQ(ReadOne(node(0), "b").state, EntryState::kMiss);
}

TEST_F(DependenciesTest, AFailedWriteSaysNothingOfWhatWasCut) {
  Start(2, nullptr, "", /*l1_only=*/true);
  const std::string key = KeyOwnedBy(0);
  Put(key);
  WriteItem item = DependentOf(key, {"key:" + KeyOwnedBy(1)});
  item.if_absent = true;
  const WriteResult result = WriteOne(node(0), std::move(item));
  EXPECT_EQ(result.state, EntryState::kConflict);
  EXPECT_FALSE(result.dependencies_cut);
  EXPECT_EQ(counters().dependencies_cut, 0);
}

TEST_F(DependenciesTest, KeysAreInTheFormInWhichTheyAreCached) {
  KeyPolicy form;
  form.trim = true;
  form.lowercase = true;
  Strings depends_on = {"key: Project:7 ", "tag: Mixed ", "key:  "};
  FormDependencies(form, &depends_on);
  EXPECT_THAT(depends_on, ElementsAre("key:project:7", "tag: Mixed ", "key:  "));
}

// Random graphs, written and invalidated in random order: what was written after the last
// invalidation of everything that it was made from is alive, and the rest is dead.
TEST_F(DependenciesTest, NoHistoryOfWritesAndCascadesLeavesWhatShouldBeDead) {
  Start(1, nullptr);
  std::mt19937_64 random(3);
  constexpr size_t kKeys = 12;
  std::vector<std::set<size_t>> of(
      kKeys);  // What each was made from when it was written, all of it.
  std::vector<bool> alive(kKeys, false);
  // By the same: something was not there that it was made from, or that something was made from.
  std::vector<bool> unknown(kKeys, false);
  std::vector<bool> stored(kKeys, false);  // Dead or alive.
  const auto name = [](size_t i) { return absl::StrCat("k", i); };
  for (int step = 0; step < 3000; ++step) {
    const size_t key = random() % kKeys;
    if (random() % 4 != 0) {
      Strings depends_on;
      std::set<size_t> made_of;
      bool says_unknown = false;
      for (uint64_t n = random() % 3; n > 0; --n) {
        const size_t other = random() % kKeys;
        depends_on.push_back("key:" + name(other));
        made_of.insert(other);
        // What is stored says what it was made from, dead or alive.
        made_of.insert(of[other].begin(), of[other].end());
        says_unknown |= (!stored[other] && other != key) || (stored[other] && unknown[other]);
      }
      made_of.erase(key);
      const WriteResult result = Put(name(key), depends_on);
      ASSERT_FALSE(result.dependencies_cut);
      ASSERT_EQ(result.dependencies_unknown, says_unknown) << "step " << step;
      of[key] = made_of;
      alive[key] = true;
      stored[key] = true;
      unknown[key] = says_unknown;
    } else {
      Cascade(name(key));
      of[key].clear();  // A deletion does not say what it was made from.
      alive[key] = false;
      stored[key] = false;
      for (size_t i = 0; i < kKeys; ++i) {
        if (of[i].count(key) > 0) alive[i] = false;
      }
    }
    const size_t asked = random() % kKeys;
    ASSERT_EQ(ReadOne(node(0), name(asked)).state == EntryState::kOk, alive[asked])
        << "step " << step << ", " << name(asked);
  }
}

}  // namespace
}  // namespace meridian
