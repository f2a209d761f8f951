#include "tests/unit/server/refill/hand_off_world.h"

namespace meridian {
namespace {

const std::vector<std::string> kBoth = {"n0", "n1"};

class HandOffTest : public HandOffWorld {
 protected:
  // Written, and asked for `reads` times.
  void Heat(const std::string& key, int reads = 1, const std::string& value = "v") {
    ASSERT_EQ(WriteOne(node(0), SetOf(key, value, absl::Hours(1))).state, EntryState::kOk);
    for (int i = 0; i < reads; ++i) ASSERT_EQ(Show(ReadOne(node(0), key)), value + "@L1");
  }
  void PlanBoth() {
    Plan(0, 3, kBoth);
    Plan(1, 3, kBoth);
  }
  void PublishBoth() {
    Publish(1, 3, kBoth);
    Publish(0, 3, kBoth);
  }
};

TEST_F(HandOffTest, WhatWasInMemoryIsInTheNextOwnersMemoryAtTheNewEpoch) {
  StartBoth();
  const std::vector<std::string> keys = MovingKeys(50);
  for (const std::string& key : keys) Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(around(0).handed_off, 50u);
  EXPECT_EQ(around(1).handed_off, 0u);
  for (const std::string& key : keys) {
    EXPECT_FALSE(InL1(1, key)) << "before it owns it";
    EXPECT_TRUE(InL1(0, key)) << "who serves still has it";
  }
  PublishBoth();
  Pass(absl::Milliseconds(50));
  const int fetched = store_.calls().fetch;
  for (const std::string& key : keys) EXPECT_EQ(Show(ReadOne(node(1), key)), "v@L1");
  EXPECT_EQ(store_.calls().fetch, fetched);
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 50u);
}

TEST_F(HandOffTest, ItKeepsItsVersionTagsAndLife) {
  StartBoth();
  const std::string key = MovingKeys(1)[0];
  WriteItem item = SetOf(key, "v", absl::Minutes(10));
  item.tags = {"red", "blue"};
  const WriteResult written = WriteOne(node(0), std::move(item));
  Entry before;
  ASSERT_TRUE(node(0).engine().Peek(node(0).KeyOf(key), clock_.Monotonic(), &before));
  PlanBoth();
  Pass(absl::Seconds(1));
  PublishBoth();
  Pass(absl::Milliseconds(50));
  Entry after;
  ASSERT_TRUE(node(1).engine().Peek(node(1).KeyOf(key), clock_.Monotonic(), &after));
  EXPECT_EQ(after.version, written.version);
  EXPECT_EQ(after.tags.view(), before.tags.view());
  EXPECT_LE(after.expires_at, before.expires_at - HandOffSenderOptions().timeout)
      << "the way may take as long, and it must not outlive the copy in Redis";
  EXPECT_GT(after.expires_at, before.expires_at - absl::Minutes(1));
}

TEST_F(HandOffTest, TheHottestGoFirstWhenThereIsNoRoomForAll) {
  RefillOptions options;
  options.sender.batch_keys = 10;
  options.stage.max_bytes = 12'000;
  StartBoth(options);
  const std::vector<std::string> keys = MovingKeys(40);
  for (size_t i = 0; i < keys.size(); ++i) {
    Heat(keys[i], i % 2 == 0 ? 1 : 5, std::string(400, 'v'));
  }
  PlanBoth();
  Pass(absl::Milliseconds(500));
  PublishBoth();
  Pass(absl::Milliseconds(50));
  int hot = 0;
  int cold = 0;
  for (size_t i = 0; i < keys.size(); ++i) (i % 2 == 0 ? cold : hot) += InL1(1, keys[i]) ? 1 : 0;
  EXPECT_GT(hot, 10);
  EXPECT_EQ(cold, 0);
}

TEST_F(HandOffTest, OfMoreKeysThanItKeepsTheHottestGoWhereverTheyAreInMemory) {
  RefillOptions options;
  options.sender.max_keys = 20;
  options.sender.walk_buckets = 1;
  StartBoth(options);
  const std::vector<std::string> keys = MovingKeys(200);
  for (size_t i = 0; i < keys.size(); ++i) Heat(keys[i], i % 10 == 0 ? 5 : 1);
  PlanBoth();
  Pass(absl::Seconds(1));
  PublishBoth();
  Pass(absl::Milliseconds(50));
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 20u);
  for (size_t i = 0; i < keys.size(); i += 10) EXPECT_TRUE(InL1(1, keys[i])) << keys[i];
}

TEST_F(HandOffTest, WhatIsGoneBeforeItsTurnHoldsUpNobody) {
  RefillOptions options;
  options.sender.look_keys = 1;
  StartBoth(options);
  const std::vector<std::string> keys = MovingKeys(40);
  for (size_t i = 0; i < keys.size(); ++i) Heat(keys[i], i % 2 == 0 ? 5 : 1);
  bool ready = false;
  // They are looked for, but nobody is ready yet.
  instead_ = [&](size_t items, const HandOffDone& done) {
    if (items > 0 || ready) return false;
    done(absl::UnavailableError("NOT_READY: later"));
    return true;
  };
  PlanBoth();
  Pass(absl::Milliseconds(500));
  for (size_t i = 0; i < keys.size(); i += 2) {
    ASSERT_EQ(WriteOne(node(0), InvalidateOf(keys[i])).state, EntryState::kOk);
  }
  ready = true;
  Pass(absl::Seconds(1));
  EXPECT_EQ(around(0).handed_off, 20u);
}

TEST_F(HandOffTest, AWriteBetweenTheHandOffAndTheNewEpochWins) {
  StartBoth();
  const std::string key = MovingKeys(1)[0];
  Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 1u);
  ASSERT_EQ(WriteOne(node(0), SetOf(key, "new")).state, EntryState::kOk);
  PublishBoth();
  EXPECT_EQ(Show(ReadOne(node(1), key)), "new@L2");
  Pass(absl::Milliseconds(50));
  EXPECT_EQ(Show(ReadOne(node(1), key)).substr(0, 3), "new");
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 0u);
}

TEST_F(HandOffTest, ADeleteAtTheNewOwnerBeforeItHasPutInWhatItGotWins) {
  StartBoth();
  const std::string key = MovingKeys(1)[0];
  Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  PublishBoth();
  // Its own tail follows the slot; what was handed over waits for one more poll.
  while (!around(1).followed.Follows(SlotOf(kSpace, key))) ASSERT_TRUE(executor_.RunOne());
  ASSERT_FALSE(InL1(1, key));
  ASSERT_EQ(WriteOne(node(1), InvalidateOf(key)).state, EntryState::kOk);
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(InL1(1, key));
    Pass(absl::Milliseconds(1));
  }
}

TEST_F(HandOffTest, AFenceThatTheNextOwnerWasNotToldOfKills) {
  StartBoth();
  const std::string key = MovingKeys(1)[0];
  Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 1u);
  FenceRequest request;
  request.name_space = kSpace;
  request.deadline = clock_.Now() + absl::Seconds(1);
  bool fenced = false;
  node(0).fence_path().Invalidate(
      request, [&](const FenceResult& result) { fenced = result.result.state == EntryState::kOk; });
  executor_.RunDue();
  ASSERT_TRUE(fenced);
  PublishBoth();
  Pass(absl::Milliseconds(50));
  EXPECT_FALSE(InL1(1, key));
  EXPECT_EQ(Show(ReadOne(node(1), key)), "miss");
}

TEST_F(HandOffTest, NobodyWaitsForWhoIsNotReady) {
  StartBoth();
  Heat(MovingKeys(1)[0]);
  Plan(0, 3, kBoth);  // n1 never hears of it.
  Pass(absl::Milliseconds(1500));
  EXPECT_EQ(around(0).handed_off, std::nullopt);
  Pass(absl::Seconds(1));
  EXPECT_EQ(around(0).handed_off, 0u);
  EXPECT_EQ(sent_items_, 0u);
}

TEST_F(HandOffTest, APlanThatIsReplacedIsForgotten) {
  StartBoth();
  const std::string key = MovingKeys(1)[0];
  Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 1u);
  ASSERT_EQ(WriteOne(node(0), SetOf(key, "new")).state, EntryState::kOk);
  Plan(0, 4, kBoth);
  Plan(1, 4, kBoth);
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(around(0).handed_off, 1u);
  Publish(1, 4, kBoth);
  Publish(0, 4, kBoth);
  Pass(absl::Milliseconds(50));
  EXPECT_EQ(Show(ReadOne(node(1), key)), "new@L1");
}

TEST_F(HandOffTest, TheHeatOfWhatIsLostIsSavedBeforeItIsLost) {
  RefillOptions options;
  options.saver.interval = absl::Hours(1);
  StartBoth(options);
  const std::string key = MovingKeys(1)[0];
  Heat(key, 3);
  ASSERT_EQ(around(0).refill->saved_digests(), 0u);
  PlanBoth();
  Pass(absl::Seconds(1));
  ASSERT_TRUE(around(0).handed_off.has_value());
  EXPECT_GE(around(0).refill->saved_digests(), 1u);
}

TEST_F(HandOffTest, WithTheStoreAwayNothingIsTakenAndNothingWaitsForLong) {
  StartBoth();
  Heat(MovingKeys(1)[0]);
  store_.SetAvailable(false);
  PlanBoth();
  Pass(absl::Seconds(4));
  EXPECT_EQ(around(0).handed_off, 0u);
  EXPECT_EQ(sent_items_, 0u);
}

// What a node that hands over waits for at most, whatever becomes of what it sends.
class HandOffFaultsTest : public HandOffTest {
 protected:
  void Start(RefillOptions options = {}) {
    StartBoth(options);
    for (const std::string& key : MovingKeys(40)) Heat(key);
  }
  // It has not ended just before `at`, and has just after.
  void ExpectEndAt(absl::Duration at) {
    Pass(at - absl::Milliseconds(100));
    EXPECT_EQ(around(0).handed_off, std::nullopt);
    Pass(absl::Milliseconds(200));
    EXPECT_TRUE(around(0).handed_off.has_value());
  }
};

TEST_F(HandOffFaultsTest, WhoNeverAnswersIsWaitedForUntilTheDeadline) {
  Start();
  instead_ = [](size_t, const HandOffDone&) { return true; };
  PlanBoth();
  ExpectEndAt(HandOffSenderOptions().deadline);
  EXPECT_EQ(around(0).handed_off, 0u);
}

TEST_F(HandOffFaultsTest, WhoStallsAmidItIsWaitedForUntilTheDeadline) {
  Start();
  std::vector<HandOffDone> never;
  instead_ = [&](size_t items, const HandOffDone& done) {
    if (items > 0) never.push_back(done);
    return items > 0;
  };
  PlanBoth();
  ExpectEndAt(HandOffSenderOptions().deadline);
  EXPECT_EQ(around(0).handed_off, 0u);
  ASSERT_EQ(never.size(), 1u) << "one batch is under way, no more";
  never[0](uint64_t{40});  // Late: nobody listens.
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(around(0).handed_off, 0u);
}

TEST_F(HandOffFaultsTest, WhoDiesAmidItIsLeftAtOnce) {
  RefillOptions options;
  options.sender.batch_keys = 10;
  Start(options);
  instead_ = [this](size_t items, const HandOffDone& done) {
    const bool dead = items > 0 && sent_items_ > 10;
    if (dead) done(absl::UnavailableError("gone"));
    return dead;
  };
  PlanBoth();
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(around(0).handed_off, 10u);
  EXPECT_EQ(sent_items_, 20u) << "it was asked once more, and then no more";
}

TEST_F(HandOffFaultsTest, WhoHasNoRoomIsLeftAtOnce) {
  RefillOptions options;
  options.sender.batch_keys = 10;
  options.stage.max_bytes = 0;
  Start(options);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(around(0).handed_off, 0u);
  EXPECT_EQ(sent_items_, 10u);
}

TEST_F(HandOffFaultsTest, WithTheStoreAwayAfterTheQuestionNothingIsSentAndNothingWaitsForLong) {
  Start();
  instead_ = [this](size_t, const HandOffDone& done) {
    store_.SetAvailable(false);
    done(uint64_t{0});
    return true;
  };
  PlanBoth();
  ExpectEndAt(HandOffSenderOptions().deadline);
  EXPECT_EQ(around(0).handed_off, 0u);
  EXPECT_EQ(sent_items_, 0u) << "nobody knows what has changed";
}

// A fence may have been in the hole.
TEST_F(HandOffFaultsTest, AHoleInALogOfFencesDropsAllThatIsStaged) {
  Start();
  FenceRequest request;
  request.name_space = "other";
  request.deadline = clock_.Now() + absl::Seconds(1);
  node(0).fence_path().Invalidate(request, [](const FenceResult&) {});
  Pass(absl::Milliseconds(100));
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 40u);
  store_.SetAvailable(false);
  Pass(absl::Milliseconds(100));
  for (const uint32_t slot : FenceSlots()) store_.LoseLog(slot);
  store_.SetAvailable(true);
  Pass(absl::Seconds(2));
  PublishBoth();
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 0u);
  EXPECT_EQ(TakenBy(1, RefillOutcome::kGone), 40u);
}

TEST_F(HandOffFaultsTest, AHoleInALogDropsWhatIsStagedOfItsSlot) {
  Start();
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 40u);
  const uint32_t holed = SlotOf(kSpace, MovingKeys(1)[0]);
  store_.SetAvailable(false);
  Pass(absl::Milliseconds(100));
  store_.LoseLog(holed);
  store_.SetAvailable(true);
  Pass(absl::Seconds(2));
  PublishBoth();
  Pass(absl::Milliseconds(100));
  uint64_t in_it = 0;
  for (const std::string& key : MovingKeys(40)) {
    const bool concerned = SlotOf(kSpace, key) == holed;
    in_it += concerned ? 1 : 0;
    EXPECT_EQ(InL1(1, key), !concerned) << key;
  }
  EXPECT_EQ(TakenBy(1, RefillOutcome::kGone), in_it);
}

TEST_F(HandOffFaultsTest, MoreChangesThanAreRememberedGiveThePlanUp) {
  RefillOptions options;
  options.stage.max_changes = 20;
  Start(options);
  const std::vector<std::string> keys = MovingKeys(80);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 40u);
  for (size_t i = 40; i < 61; ++i) {
    ASSERT_EQ(WriteOne(node(0), SetOf(keys[i], "new")).state, EntryState::kOk);
  }
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(TakenBy(1, RefillOutcome::kGone), 40u);
  PublishBoth();
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 0u);
}

// Loads of such a namespace are in no changelog: nobody would say that one has overtaken it.
TEST_F(HandOffFaultsTest, WhatIsInvalidateOnlyIsNotHandedOver) {
  StartBoth();
  for (auto& one : nodes_) SetPolicies(*one, "task: {ttl_jitter: 0, replication: invalidate_only}");
  for (const std::string& key : MovingKeys(40)) Heat(key);
  PlanBoth();
  Pass(absl::Milliseconds(500));
  EXPECT_EQ(around(0).handed_off, 0u);
  EXPECT_EQ(sent_items_, 0u);
}

TEST_F(HandOffFaultsTest, WhatHasBecomeInvalidateOnlyIsNotPutIn) {
  Start();
  PlanBoth();
  Pass(absl::Milliseconds(500));
  ASSERT_EQ(around(0).handed_off, 40u);
  SetPolicies(node(1), "task: {ttl_jitter: 0, replication: invalidate_only}");
  PublishBoth();
  Pass(absl::Milliseconds(100));
  EXPECT_EQ(TakenBy(1, RefillOutcome::kFilled), 0u);
  EXPECT_EQ(TakenBy(1, RefillOutcome::kRefused), 40u);
}

}  // namespace
}  // namespace meridian
