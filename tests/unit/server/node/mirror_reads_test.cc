// Which reads a node asks its mirrors for, and what it does with their answers.

#include "server/node/mirror_reads.h"

#include <map>

#include "server/node/explain.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

// Has whatever was put into it, and nothing of what is written.
class FakeMirrors final : public MirrorReads {
 public:
  bool Read(std::string_view, std::string_view key, const Member& owner,
            ReadResult* result) override {
    owners.push_back(owner.id);
    const auto it = values.find(std::string(key));
    if (it == values.end()) return false;
    result->state = EntryState::kOk;
    result->tier = Tier::kL1;
    result->version = version;
    result->written = written;
    result->tags = Buffer::CopyOf(EncodeTags({"t"}));
    result->value = Buffer::CopyOf(it->second);
    return true;
  }
  bool Peek(std::string_view, std::string_view key, Entry* entry) const override {
    const auto it = values.find(std::string(key));
    if (it == values.end()) return false;
    entry->version = version;
    entry->written = written;
    entry->tags = Buffer::CopyOf(EncodeTags({"t"}));
    entry->value = Buffer::CopyOf(it->second);
    return true;
  }
  void Wrote(std::string_view, std::string_view key, Version) override {
    values.erase(std::string(key));
  }

  std::map<std::string, std::string> values;
  Version version;
  uint64_t written = 0;
  Strings owners;
};

class MirrorReadsTest : public OriginFixture {
 protected:
  void SetUp() override {
    Start(2, nullptr);
    node(0).reads().SetMirrors(&mirrors_);
    node(0).writes().SetMirrors(&mirrors_);
    theirs_ = KeyOwnedBy(1);
    WriteOne(node(1), SetOf(theirs_, "owner's"));
    mirrors_.version = node(0).versions().Next();
    mirrors_.values[theirs_] = "mirror's";
  }
  std::string ShowAt0(ReadOptions options = {}) {
    return std::string(ReadOne(node(0), theirs_, options).value.view());
  }

  FakeMirrors mirrors_;
  std::string theirs_;
};

TEST_F(MirrorReadsTest, AKeyOfAnotherNodeIsAskedOfTheMirrorsFirst) {
  const std::string ours = KeyOwnedBy(0);
  mirrors_.values[ours] = "wrong";
  WriteOne(node(0), SetOf(ours, "ours"));
  mirrors_.values[ours] = "wrong";
  const auto results = Read(node(0), {theirs_, ours, KeyOwnedBy(1, 1)});
  EXPECT_EQ(results[0].value.view(), "mirror's");
  EXPECT_EQ(results[1].value.view(), "ours");
  EXPECT_EQ(results[2].state, EntryState::kMiss);
  EXPECT_THAT(mirrors_.owners, ElementsAre("n1", "n1"));
  EXPECT_TRUE(results[0].tags.view().empty()) << "nobody asked for them";
  ReadOptions options;
  options.with_tags = true;
  EXPECT_FALSE(ReadOne(node(0), theirs_, options).tags.view().empty());
}

TEST_F(MirrorReadsTest, ExplainShowsAMirrorAsAPlaceOfItsOwnAndAsksTheStoreOnlyWhenItShould) {
  Explainer explainer(node(0).context());
  explainer.SetMirrors(&mirrors_);
  std::vector<TierReport> reports = explainer.InMemory(kSpace, theirs_);
  ASSERT_EQ(reports.size(), 2u) << "no store is asked";
  EXPECT_FALSE(reports[0].mirror);
  EXPECT_EQ(reports[0].holding, Holding::kAbsent);
  EXPECT_TRUE(reports[1].mirror);
  EXPECT_EQ(reports[1].tier, Tier::kL1);
  EXPECT_EQ(reports[1].holding, Holding::kValue);
  EXPECT_EQ(reports[1].version, mirrors_.version);
  EXPECT_THAT(reports[1].tags, ElementsAre("t"));

  ASSERT_TRUE(node(0)
                  .context()
                  .fences
                  ->Learn({.name_space = std::string(kSpace),
                           .scope = FenceScope::kTag,
                           .name = "t",
                           .version = node(0).versions().Next()})
                  .ok());
  reports = explainer.InMemory(kSpace, theirs_);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[1].holding, Holding::kFenced) << "no read is served that";

  mirrors_.values.clear();
  EXPECT_EQ(explainer.InMemory(kSpace, theirs_).size(), 1u);
  std::vector<TierReport> all;
  explainer.Explain(kSpace, theirs_, clock_.Now() + absl::Seconds(1),
                    [&](std::vector<TierReport> answer) { all = std::move(answer); });
  executor_.RunFor(absl::Milliseconds(10));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].tier, Tier::kL2);
}

TEST_F(MirrorReadsTest, ReadsByForceAreTheOwners) {
  EXPECT_EQ(ShowAt0(Force()), "owner's");
  EXPECT_TRUE(mirrors_.owners.empty());
}

TEST_F(MirrorReadsTest, WhoWantsALeaseIsServedWhatIsThereAndGetsOneOfTheOwnerWhenNothingIs) {
  EXPECT_EQ(ShowAt0(Lease()), "mirror's");
  EXPECT_EQ(ReadOne(node(0), theirs_, Lease()).lease, "") << "there is nothing to fill";
  const std::string missing = KeyOwnedBy(1, 1);
  const ReadResult miss = ReadOne(node(0), missing, Lease());
  EXPECT_EQ(miss.state, EntryState::kMiss);
  EXPECT_NE(miss.lease, "");
}

TEST_F(MirrorReadsTest, PeersAreNotServedFromMirrors) {
  // A key that node 0 does not own, asked by a peer that thinks so: it is told who does.
  ReadRequest request;
  request.name_space = kSpace;
  request.keys = {theirs_};
  request.deadline = clock_.Now() + absl::Seconds(1);
  request.caller = Caller::kPeer;
  std::vector<ReadResult> answer;
  node(0).reads().Read(request,
                       [&](std::vector<ReadResult> results) { answer = std::move(results); });
  ASSERT_EQ(answer.size(), 1);
  EXPECT_EQ(Show(answer[0]), "NOT_OWNER");
  EXPECT_TRUE(mirrors_.owners.empty());
}

// The node knows a fence when it is confirmed; the mirror may hear of it later.
TEST_F(MirrorReadsTest, WhatAFenceCoversIsNotServed) {
  EXPECT_EQ(ShowAt0(), "mirror's");
  PutFence(FenceScope::kTag);
  EXPECT_EQ(ShowAt0(), "owner's");
  mirrors_.version = node(0).versions().Next();
  EXPECT_EQ(ShowAt0(), "mirror's") << "newer than the fence";
  mirrors_.written = 1;
  EXPECT_EQ(ShowAt0(), "owner's") << "the value is as old as its write, whatever its version";
}

TEST_F(MirrorReadsTest, AWriteThroughThisNodeIsSeenByItAtOnce) {
  EXPECT_EQ(ShowAt0(), "mirror's");
  WriteOne(node(0), SetOf(theirs_, "new"));
  EXPECT_EQ(ShowAt0(), "new");
}

// A mirror asks for a key by the name that it has here; its owner would hash that once more.
class HashedMirrorReadsTest : public OriginFixture {};

TEST_F(HashedMirrorReadsTest, MirrorsAreAskedOnlyForKeysThatAreNotHashedOnceMore) {
  Start(2, nullptr, ", key: {hash: md5, hash_above: 8}");
  FakeMirrors mirrors;
  node(0).reads().SetMirrors(&mirrors);
  int longer = 0;
  for (int i = 0; i < 50; ++i) longer += KeyOwnedBy(1, i).size() > 8 ? 1 : 0;
  ASSERT_EQ(longer, 0);
  Strings hashed;
  for (int i = 0; i < 50; ++i) hashed.push_back(absl::StrCat("key:", 1000 + i, "-hash"));
  Read(node(0), hashed);
  EXPECT_TRUE(mirrors.owners.empty());
  Read(node(0), {KeyOwnedBy(1)});
  EXPECT_THAT(mirrors.owners, ElementsAre("n1"));
}

}  // namespace
}  // namespace meridian
