// What a node does whose clock is found to be off (ClockGuard): no versions, nothing into L1.

#include "server/node/clock_guard.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

class ClockRefusalTest : public NodeFixture {
 protected:
  void StartGuarded(int count, bool l1_only = false) {
    StartNodes(count, l1_only);
    for (int i = 0; i < count; ++i) {
      guards_.push_back(std::make_unique<ClockGuard>(clock_));
      node(i).context().clock_guard = guards_.back().get();
      Hear(i, absl::ZeroDuration());
    }
  }
  // All others say that it is so much later than node `i` believes.
  void Hear(int i, absl::Duration later) {
    const absl::Duration now = clock_.Monotonic();
    guards_[static_cast<size_t>(i)]->Measured("redis of us", clock_.Now() + later, now, now);
  }
  std::string StateOf(const WriteResult& result) {
    return result.state == EntryState::kError ? result.error->reason : "ok";
  }

  std::vector<std::unique_ptr<ClockGuard>> guards_;
};

TEST_F(ClockRefusalTest, WritesAreRefusedUntilTheClockIsRightAgain) {
  for (const bool l1_only : {false, true}) {
    nodes_.clear();
    guards_.clear();
    StartGuarded(1, l1_only);
    ASSERT_EQ(StateOf(WriteOne(node(0), SetOf("k", "v"))), "ok");
    const absl::Time right = clock_.Now();
    for (const absl::Duration jump : {absl::Hours(1), -absl::Hours(1)}) {
      clock_.JumpTo(right + jump);
      EXPECT_EQ(StateOf(WriteOne(node(0), SetOf("k", "skewed"))), "CLOCK_SKEW");
      EXPECT_EQ(StateOf(WriteOne(node(0), InvalidateOf("k"))), "CLOCK_SKEW");
      EXPECT_EQ(StateOf(WriteOne(node(0), TouchOf("k", absl::Hours(9)))), "CLOCK_SKEW");
      EXPECT_THAT(Show(ReadOne(node(0), "k")), testing::StartsWith("v@L1"));  // Reads go on.
    }
    clock_.JumpTo(right);
    const WriteResult deleted = WriteOne(node(0), InvalidateOf("k"));
    EXPECT_EQ(StateOf(deleted), "ok");
    EXPECT_LT(deleted.version.time(),
              right + absl::Seconds(1));  // Nothing was learned of the jump.
    EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss");
  }
}

TEST_F(ClockRefusalTest, AnOwnerWhoseClockIsOffIsGoneAround) {
  StartGuarded(2);
  const std::string key = KeyOwnedBy(1);
  ASSERT_EQ(StateOf(WriteOne(node(0), SetOf(key, "old"))), "ok");
  Hear(1, absl::Minutes(5));
  EXPECT_EQ(StateOf(WriteOne(node(0), SetOf(key, "new"))), "ok");
  const std::optional<std::string> stored = store_.Peek(kSpace, key);
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(ParseRecord(*stored)->value, "new");
  // A conditional write was refused before it was tried: it can go around as well.
  WriteItem absent = SetOf(KeyOwnedBy(1, 1), "first");
  const std::string other = KeyOwnedBy(1, 1);
  absent.key = other;
  absent.if_absent = true;
  EXPECT_EQ(StateOf(WriteOne(node(0), absent)), "ok");
  // When both are off nobody writes.
  Hear(0, absl::Minutes(5));
  EXPECT_EQ(StateOf(WriteOne(node(0), SetOf(key, "newer"))), "CLOCK_SKEW");
}

TEST_F(ClockRefusalTest, NothingGoesIntoL1BecauseItsLifeIsNotKnown) {
  StartGuarded(1);
  ASSERT_EQ(StateOf(WriteOne(node(0), SetOf("k", "v", absl::Minutes(10)))), "ok");
  node(0).engine().Clear();
  Hear(0, absl::Minutes(5));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  Hear(0, absl::ZeroDuration());
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
}

// L1 counts its lives by monotonic time: a jump of the wall clock neither ends nor lengthens them.
TEST_F(ClockRefusalTest, LivesInL1DoNotFollowTheWallClock) {
  StartGuarded(1);
  const absl::Time begin = clock_.Now();
  ASSERT_EQ(StateOf(WriteOne(node(0), SetOf("k", "v", absl::Seconds(30)))), "ok");
  clock_.JumpTo(begin + absl::Hours(5));
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "v@L1");
  clock_.JumpTo(begin - absl::Hours(5));
  clock_.Advance(absl::Seconds(31));
  store_.SetAvailable(false);
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "UNAVAILABLE");  // No longer in L1.
}

}  // namespace
}  // namespace meridian
