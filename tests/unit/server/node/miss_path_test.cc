#include "server/node/miss_path.h"

#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

// Reads that are under way.
class MissPathTest : public NodeFixture {
 protected:
  std::shared_ptr<Pending> Begin(const std::vector<std::string>& keys,
                                 absl::Duration timeout = absl::Seconds(1),
                                 ReadOptions options = {}, int at = 0) {
    return BeginRead(keys, options, at, timeout);
  }
  // As Begin of one key, `count` times.
  std::vector<std::shared_ptr<Pending>> BeginMany(int count, const std::string& key) {
    std::vector<std::shared_ptr<Pending>> all;
    for (int i = 0; i < count; ++i) all.push_back(Begin({key}));
    return all;
  }
};

TEST_F(MissPathTest, AThousandReadersOfOneKeyReadL2Once) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  const auto readers = BeginMany(1000, "k");
  executor_.RunDue();
  EXPECT_EQ(store_.calls().fetched_keys, 1);
  for (const auto& reader : readers) EXPECT_EQ(reader->shown, std::vector<std::string>{"v@L2"});
  EXPECT_EQ(node(0).misses().flights().size(), 0);
  EXPECT_EQ(node(0).misses().flights().waiters(), 0);
  EXPECT_EQ(node(0).context().namespaces.Resolve(kSpace)->counters.l2_hits, 1000);
}

TEST_F(MissPathTest, ABatchReadsOnlyWhatNobodyReadsYet) {
  StartNodes(1);
  const auto one = Begin({"b"});
  const auto batch = Begin({"a", "b", "c", "a"});
  executor_.RunDue();
  EXPECT_EQ(store_.calls().fetched_keys, 3);
  EXPECT_EQ(store_.calls().fetch, 2);
  EXPECT_EQ(batch->shown, (std::vector<std::string>{"miss", "miss", "miss", "miss"}));
  EXPECT_EQ(one->shown, std::vector<std::string>{"miss"});
}

TEST_F(MissPathTest, WhoComesAfterAChangeDoesNotJoinALookThatBeganBeforeIt) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "old"));
  node(0).engine().Clear();
  store_.HoldReplies();
  const auto before = Begin({"k"});
  executor_.RunDue();  // The store has read the old value; the answer is on its way.
  Record record;
  record.version = Version{node(0).versions().last() + 1, RegionId("eu")};
  record.expires_at = clock_.Now() + absl::Hours(1);
  record.value = "new";
  std::string bytes;
  AppendRecord(record, &bytes);
  store_.Plant(L2Key{SlotOf(kSpace, "k"), kSpace, "k"}, bytes, absl::Hours(1));
  node(0).engine().Erase(node(0).KeyOf("k"), record.version);  // As the changelog's tail does.
  const auto after = Begin({"k"});
  executor_.RunDue();
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_EQ(before->shown, std::vector<std::string>{"old@L2"});
  EXPECT_EQ(after->shown, std::vector<std::string>{"new@L2"});
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "new@L1") << "the late old value did not get in";
  EXPECT_EQ(node(0).misses().flights().size(), 0);
}

TEST_F(MissPathTest, AReaderWithAShortDeadlineLeavesAndTheLookGoesOn) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  store_.HoldReplies();
  const auto hurried = Begin({"k", "other"}, absl::Milliseconds(50));
  const auto patient = Begin({"k"}, absl::Milliseconds(500));
  executor_.RunFor(absl::Milliseconds(44));
  EXPECT_TRUE(hurried->shown.empty());
  executor_.RunFor(absl::Milliseconds(1));
  EXPECT_EQ(hurried->shown, (std::vector<std::string>{"DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"}));
  EXPECT_TRUE(patient->shown.empty());
  EXPECT_EQ(node(0).misses().flights().waiters(), 1);
  store_.ReleaseReplies();
  EXPECT_EQ(patient->shown, std::vector<std::string>{"v@L2"});
  EXPECT_EQ(store_.calls().fetched_keys, 2);
  EXPECT_EQ(timers_.size(), 0) << "no deadline is left behind";
}

// L2 hears how long its callers wait, or a slow one would never open its circuit breaker.
TEST_F(MissPathTest, AHurriedReadersDeadlineEndsItsReadOfL2AndWhoHasMoreTimeReadsAgain) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  node(0).engine().Clear();
  store_.HoldReplies();
  store_.LoseNextReply(absl::DeadlineExceededError("late"));
  const auto hurried = Begin({"k"}, absl::Milliseconds(50));
  const auto patient = Begin({"k"}, absl::Milliseconds(500));
  executor_.RunFor(absl::Milliseconds(50));
  EXPECT_EQ(hurried->shown, std::vector<std::string>{"DEADLINE_EXCEEDED"});
  EXPECT_TRUE(patient->shown.empty());
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_EQ(patient->shown, std::vector<std::string>{"v@L2"});
  EXPECT_EQ(store_.calls().fetched_keys, 2);
}

TEST_F(MissPathTest, AForcedReadNeverSharesALookThatHasBegun) {
  StartNodes(1);
  WriteOne(node(0), SetOf("k", "v"));
  ReadOptions force;
  force.force_refresh = true;
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 10; ++i) readers.push_back(Begin({"k"}, absl::Seconds(1), force));
  executor_.RunDue();
  for (const auto& reader : readers) EXPECT_EQ(reader->shown, std::vector<std::string>{"v@L2"});
  EXPECT_EQ(store_.calls().fetched_keys, 2) << "the first alone, then all others together";
}

TEST_F(MissPathTest, WhoGoesAroundADeadOwnerNeverSharesALookThatHasBegun) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(key, "v"));
  peers_.Fail("n1", absl::UnavailableError("connection refused"));
  std::vector<std::shared_ptr<Pending>> readers;
  for (int i = 0; i < 10; ++i) readers.push_back(Begin({key}));
  executor_.RunDue();
  for (const auto& reader : readers) EXPECT_EQ(reader->shown, std::vector<std::string>{"v@L2"});
  EXPECT_EQ(store_.calls().fetched_keys, 2);
  EXPECT_EQ(node(0).engine().entries(), 0);
}

TEST_F(MissPathTest, AnErrorOfL2IsEverybodysAndTheNextReaderTriesAgain) {
  StartNodes(1);
  store_.FailNext(absl::UnavailableError("L2_UNAVAILABLE: away"));
  const auto readers = BeginMany(100, "k");
  executor_.RunDue();
  for (const auto& reader : readers) {
    EXPECT_EQ(reader->shown, std::vector<std::string>{"L2_UNAVAILABLE"});
  }
  EXPECT_EQ(Show(ReadOne(node(0), "k")), "miss");
}

}  // namespace
}  // namespace meridian
