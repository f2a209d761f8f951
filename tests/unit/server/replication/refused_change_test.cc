// Changes that the other region's store does not take: what follows them goes on, what is older
// than them goes over there, and nothing is given up that the store would take later.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/replication/store_probe.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr int kKeys = 60;
const std::string kBad = "{a}bad";

class RefusedChangeTest : public testing::Test {
 protected:
  RefusedChangeTest() {
    world_.Start();
    world_.Set("us", kBad, "old");
    world_.Set("us", "{b}first", "old");
    Run(absl::Seconds(2));
    EXPECT_EQ(world_.Get("eu", kBad), "old");
  }
  void Run(absl::Duration time) { world_.executor.RunFor(time); }
  StoreWire& to_eu() { return *world_.node("us").wires["eu"]; }
  LinkStatus link() { return world_.Link("us", "eu"); }
  void Refuse(absl::StatusCode code, bool whole_calls) {
    to_eu().refused[kBad] = absl::Status(code, "this one");
    to_eu().refuses_calls = whole_calls;
    to_eu().takes_drops = true;
  }
  // The bad one in the middle of others of its slot, and of another one.
  void Write() {
    for (int i = 0; i < kKeys; ++i) {
      if (i == kKeys / 2) world_.Set("us", kBad, "new");
      for (const char* slot : {"{a}", "{b}"}) world_.Set("us", absl::StrCat(slot, i), "v");
    }
  }
  int Missing() {
    int missing = 0;
    for (int i = 0; i < kKeys; ++i) {
      for (const char* slot : {"{a}", "{b}"}) {
        missing += world_.Get("eu", absl::StrCat(slot, i)) == std::nullopt ? 1 : 0;
      }
    }
    return missing;
  }
  void ExpectOthersHaveArrived() {
    EXPECT_EQ(link().state, LinkState::kStreaming) << link().problem;
    EXPECT_EQ(link().backlog, 0u);
    EXPECT_EQ(Missing(), 0);
    // And so does what is written from now on, without delay.
    world_.Set("us", "{a}later", "v");
    Run(absl::Milliseconds(200));
    EXPECT_EQ(world_.Get("eu", "{a}later"), "v");
  }

  ReplicationWorld world_{{"us", "eu"}};
};

TEST_F(RefusedChangeTest, OneThatIsRefusedForItsOwnSakeIsStoodForByADrop) {
  for (const auto code : {absl::StatusCode::kInvalidArgument, absl::StatusCode::kDataLoss,
                          absl::StatusCode::kOutOfRange, absl::StatusCode::kFailedPrecondition}) {
    SCOPED_TRACE(static_cast<int>(code));
    to_eu().refused.clear();
    world_.Set("us", kBad, "old");
    Run(absl::Seconds(1));
    ASSERT_EQ(world_.Get("eu", kBad), "old");
    const uint64_t dropped = link().dropped_total;
    Refuse(code, /*whole_calls=*/false);
    Write();
    Run(absl::Seconds(2));
    ExpectOthersHaveArrived();
    EXPECT_EQ(world_.Get("eu", kBad), std::nullopt) << "what was overtaken must not be read";
    EXPECT_EQ(link().dropped_total, dropped + 1);
  }
}

TEST_F(RefusedChangeTest, OneThatFailsTimeAndAgainIsToo) {
  for (const bool whole_calls : {false, true}) {
    for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kResourceExhausted}) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(code), whole_calls ? " as a whole" : ""));
      to_eu().refused.clear();
      world_.Set("us", kBad, "old");
      Run(absl::Seconds(1));
      ASSERT_EQ(world_.Get("eu", kBad), "old");
      const uint64_t dropped = link().dropped_total;
      Refuse(code, whole_calls);
      Write();
      Run(absl::Minutes(1));
      ExpectOthersHaveArrived();
      EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
      EXPECT_EQ(link().dropped_total, dropped + 1);
    }
  }
}

TEST_F(RefusedChangeTest, OneWhoseDropIsRefusedAsWellStaysAsItIs) {
  for (const auto code : {absl::StatusCode::kFailedPrecondition, absl::StatusCode::kInternal}) {
    SCOPED_TRACE(static_cast<int>(code));
    Refuse(code, /*whole_calls=*/code == absl::StatusCode::kInternal);
    to_eu().takes_drops = false;
    const uint64_t dropped = link().dropped_total;
    Write();
    Run(absl::Minutes(1));
    ExpectOthersHaveArrived();
    EXPECT_EQ(world_.Get("eu", kBad), "old");
    EXPECT_EQ(link().dropped_total, dropped + 1);
  }
}

// As a change is: once says nothing.
TEST_F(RefusedChangeTest, ADropThatFailsForAWhileIsSentAgain) {
  Refuse(absl::StatusCode::kFailedPrecondition, /*whole_calls=*/false);
  to_eu().takes_drops = false;
  to_eu().drop_refusal = absl::InternalError("its script fails");
  Write();
  Run(absl::Milliseconds(200));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  to_eu().takes_drops = true;
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
  EXPECT_EQ(link().dropped_total, 1u) << "counted once";
}

TEST_F(RefusedChangeTest, ADropIsGivenUpOnlyWhileItsSlotTakesOthers) {
  Refuse(absl::StatusCode::kFailedPrecondition, /*whole_calls=*/false);
  to_eu().takes_drops = false;
  to_eu().drop_refusal = absl::InternalError("its script fails");
  for (uint64_t i = 0; i < kProbeKeys; ++i) {
    to_eu().refused[ProbeKey("us", i)] = absl::InternalError("as all others");
  }
  Write();
  Run(absl::Minutes(2));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  EXPECT_EQ(link().dropped_total, 0u);
  to_eu().takes_drops = true;
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
  EXPECT_EQ(link().dropped_total, 1u);
}

// Memory comes and goes, and the drop may stand for a delete.
TEST_F(RefusedChangeTest, ADropThatFindsNoRoomIsSentAgain) {
  Refuse(absl::StatusCode::kResourceExhausted, /*whole_calls=*/true);
  to_eu().takes_drops = false;
  Write();
  Run(absl::Minutes(1));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  to_eu().takes_drops = true;
  Run(absl::Minutes(1));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
}

// The next owner begins behind it.
TEST_F(RefusedChangeTest, ItIsPassedForGood) {
  Refuse(absl::StatusCode::kInternal, /*whole_calls=*/true);
  Write();
  Run(absl::Minutes(1));
  world_.StopNode(world_.node("us"));
  to_eu().refused.clear();
  world_.Start();
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), std::nullopt);
  world_.Set("us", kBad, "newer");
  Run(absl::Seconds(1));
  EXPECT_EQ(world_.Get("eu", kBad), "newer");
}

TEST_F(RefusedChangeTest, WhatIsRefusedForAWhileArrives) {
  for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kResourceExhausted}) {
    SCOPED_TRACE(static_cast<int>(code));
    Refuse(code, /*whole_calls=*/true);
    Write();
    Run(absl::Milliseconds(200));
    to_eu().refused.clear();
    Run(absl::Seconds(10));
    ExpectOthersHaveArrived();
    EXPECT_EQ(world_.Get("eu", kBad), "new");
    EXPECT_EQ(link().dropped_total, 0u);
  }
}

// Our own connection has no room for a large value now, while small ones pass.
TEST_F(RefusedChangeTest, NothingIsLeftOutForWantOfRoomOnOurSide) {
  to_eu().refused[kBad] = absl::ResourceExhaustedError("L2_OVERLOADED: bytes are waiting");
  to_eu().takes_drops = true;
  Write();
  Run(absl::Minutes(2));
  EXPECT_EQ(world_.Get("eu", kBad), "old");
  to_eu().refused.clear();
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), "new");
  EXPECT_EQ(link().dropped_total, 0u);
}

TEST_F(RefusedChangeTest, AFullStoreIsWaitedForAndNothingIsLeftOut) {
  to_eu().full = absl::ResourceExhaustedError("OOM");
  Write();
  Run(absl::Minutes(10));
  EXPECT_EQ(Missing(), 2 * kKeys);
  to_eu().full = absl::OkStatus();
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(world_.Get("eu", kBad), "new");
  EXPECT_EQ(link().dropped_total, 0u);
}

// Between its last refusal and the question whether it takes others.
TEST_F(RefusedChangeTest, AStoreThatRecoversAtTheWrongMomentLosesNothing) {
  for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kResourceExhausted}) {
    SCOPED_TRACE(static_cast<int>(code));
    to_eu().full = absl::Status(code, "all of it");
    to_eu().recovers_when_probed = true;
    Write();
    Run(absl::Minutes(1));
    ASSERT_TRUE(to_eu().full.ok()) << "it was asked";
    ExpectOthersHaveArrived();
    EXPECT_EQ(world_.Get("eu", kBad), "new");
    EXPECT_EQ(link().dropped_total, 0u);
  }
}

TEST_F(RefusedChangeTest, SoIsOneServerOfACluster) {
  to_eu().full = absl::InternalError("a disk that is full, say");
  to_eu().full_slots = {SlotOf("task", "{a}")};
  Write();
  Run(absl::Minutes(10));
  EXPECT_EQ(Missing(), kKeys) << "the other servers go on";
  to_eu().full = absl::OkStatus();
  Run(absl::Seconds(10));
  ExpectOthersHaveArrived();
  EXPECT_EQ(link().dropped_total, 0u);
}

}  // namespace
}  // namespace meridian
