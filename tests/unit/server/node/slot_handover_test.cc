// A new owner of a slot that does not follow its changelog yet: others may write what it is not
// told of, so that it answers what the store has, and keeps nothing.

#include <memory>
#include <string>
#include <vector>

#include "server/node/followed_slots.h"
#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::Each;
using testing::ElementsAre;

class SlotHandoverTest : public OriginFixture {
 protected:
  void StartUnfollowed(const char* origin) {
    Start(1, origin);
    node(0).context().followed = &followed_;
  }
  void Follow() { followed_.Gained(SlotOf(kSpace, "k")); }
  // As the former owner, which does not know that it is none.
  void WriteElsewhere(const std::string& value) {
    Record record;
    record.version = node(0).versions().Next();
    record.expires_at = clock_.Now() + absl::Hours(1);
    record.value = value;
    std::string bytes;
    AppendRecord(record, &bytes);
    store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  }

  FollowedSlots followed_;
};

TEST_F(SlotHandoverTest, NothingIsKeptBeforeTheLogIsFollowed) {
  StartUnfollowed(nullptr);
  EXPECT_EQ(ShowWrite(WriteOne(node(0), SetOf("k", "own"))), "ok");
  EXPECT_EQ(ReadThrough("k"), "own@L2") << "the own write neither";
  WriteElsewhere("newer");
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k", Force()), "newer@L2");
  EXPECT_EQ(node(0).engine().entries(), 0);
  Follow();
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k"), "newer@L1");
  followed_.Lost(SlotOf(kSpace, "k"));
  node(0).engine().Clear();
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
  EXPECT_EQ(ReadThrough("k"), "newer@L2");
}

TEST_F(SlotHandoverTest, WhoComesLaterSharesNoLookThatHasBegun) {
  StartUnfollowed(nullptr);
  WriteElsewhere("old");
  store_.HoldReplies();
  const auto before = Begin({"k"});
  WriteElsewhere("new");
  const auto after = Begin({"k"});
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(before->shown, ElementsAre("old@L2"));
  EXPECT_THAT(after->shown, ElementsAre("new@L2"));
}

TEST_F(SlotHandoverTest, ManyMissesAreStillOneLoad) {
  StartUnfollowed("");
  origin_.rows["k"] = "loaded";
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 100; ++i) readers.push_back(Begin({"k"}));
  Settle();
  for (const auto& reader : readers) EXPECT_EQ(reader->shown.size(), 1u);
  EXPECT_EQ(origin_.loads, 1);
  EXPECT_EQ(node(0).engine().entries(), 0);
  EXPECT_EQ(ReadThrough("k"), "loaded@L2");
  EXPECT_EQ(ReadThrough("k", Force()), "loaded@origin");
  EXPECT_EQ(node(0).engine().entries(), 0);
  Follow();
  EXPECT_EQ(ReadThrough("k"), "loaded@L2");
  EXPECT_EQ(ReadThrough("k"), "loaded@L1");
}

// It knows that it is the owner: there is nobody else who could.
TEST_F(SlotHandoverTest, LeasesAreGiven) {
  StartUnfollowed(nullptr);
  const auto holder = Begin({"k"}, Lease());
  const auto other = Begin({"k"}, Lease());
  ASSERT_THAT(holder->shown, ElementsAre("miss"));
  ASSERT_FALSE(holder->results[0].lease.empty());
  EXPECT_TRUE(other->shown.empty());
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("k", "v", holder->results[0].lease))), "ok");
  EXPECT_THAT(other->shown, ElementsAre("v@L1"));
  EXPECT_EQ(node(0).engine().entries(), 0);
}

// Fills of such a namespace are in no changelog, and the next owner may keep what was before.
class QuietFillTest : public OriginFixture {
 protected:
  void SetUp() override {
    Start(2, "", ", replication: invalidate_only");
    key_ = KeyOwnedBy(0);
    origin_.rows[key_] = "loaded";
    EXPECT_EQ(ShowWrite(WriteOne(node(0), SetOf(key_, "before"))), "ok");
    before_ = Told().size();
  }
  // The slot's changelog.
  std::vector<LogEntry> Told() {
    std::vector<LogEntry> entries;
    store_.ReadLogs({{SlotOf(kSpace, key_), {}}}, 1000, clock_.Now() + absl::Seconds(1),
                    [&](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                      for (const LogSlice& slice : *slices) entries = slice.entries;
                    });
    executor_.RunDue();
    return entries;
  }
  void Move() {
    for (auto& one : nodes_) one->topology().Offer(TopologyOf(2, {"n1"}));
  }
  Version Stored() { return ParseRecord(*store_.Peek(kSpace, key_))->version; }

  std::string key_;
  size_t before_ = 0;
};

TEST_F(QuietFillTest, IsToldToNobodyByAnOwnerThatStays) {
  EXPECT_EQ(ReadThrough(key_, Force()), "loaded@origin");
  EXPECT_EQ(Told().size(), before_);
}

TEST_F(QuietFillTest, IsToldWhenTheSlotWentDuringTheLoad) {
  const auto read = Begin({key_}, Force());
  Move();
  Settle();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
}

TEST_F(QuietFillTest, IsToldWhenTheSlotWentWhileItWasStored) {
  const auto read = Begin({key_}, Force());
  store_.HoldReplies();
  origin_.AnswerAll();
  executor_.RunDue();
  Move();
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_THAT(read->shown, ElementsAre("loaded@origin"));
  ASSERT_EQ(Told().size(), before_ + 1);
  EXPECT_EQ(Told().back().version, Stored());
  EXPECT_GT(Stored(), read->results[0].version);
}

}  // namespace
}  // namespace meridian
