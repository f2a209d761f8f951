// Clocks that are off, that jump and that stand still, on whole nodes in three regions: a key whose
// deletion was acknowledged stays away.

#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/replication/clock_watch.h"
#include "tests/unit/server/replication/node_stack.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

class ClockSkewTest : public testing::Test {
 protected:
  ClockSkewTest() {
    // The hours of these tests are long enough.
    world_.options.tail.active_interval = world_.options.tail.idle_interval =
        absl::Milliseconds(200);
    world_.Start();
    for (const char* region : {"us", "eu", "asia"}) {
      stacks_.push_back(std::make_unique<NodeStack>(world_, region, 0));
    }
    world_.executor.RunFor(absl::Seconds(1));
  }
  NodeStack& at(size_t i) { return *stacks_[i]; }
  void Converge() { world_.executor.RunFor(absl::Seconds(4)); }
  void SetWires(StoreWire::Mode mode) {
    for (auto& stack : stacks_) {
      for (auto& [region, wire] : stack->node().wires) {
        if (region != stack->region()) wire->mode = mode;
      }
    }
  }

  ReplicationWorld world_;
  std::vector<std::unique_ptr<NodeStack>> stacks_;
};

TEST_F(ClockSkewTest, ANodeThatIsOffIsToldByTheStoresAndRefusesWrites) {
  EXPECT_EQ(at(0).Write(WriteKind::kSet, "k", "v"), "ok");
  at(0).node().clock.SetOffset(absl::Seconds(90));
  EXPECT_EQ(at(0).Write(WriteKind::kSet, "k", "future"), "CLOCK_SKEW");
  world_.executor.RunFor(ClockWatch::kInterval);
  EXPECT_THAT(at(0).node().observer.own_clock, ElementsAre(absl::StatusCode::kFailedPrecondition));
  at(0).node().clock.SetOffset(-absl::Seconds(90));
  EXPECT_EQ(at(0).Write(WriteKind::kSet, "k", "past"), "CLOCK_SKEW");
  at(0).node().clock.SetOffset(absl::Seconds(10));
  EXPECT_EQ(at(0).Write(WriteKind::kSet, "k", "now"), "ok");
  world_.executor.RunFor(ClockWatch::kInterval);
  EXPECT_THAT(at(0).node().observer.own_clock,
              ElementsAre(absl::StatusCode::kFailedPrecondition, absl::StatusCode::kOk));
  Converge();
  EXPECT_THAT(world_.Get("asia", "k"), Optional(std::string("now")));
}

TEST_F(ClockSkewTest, AStoreWhoseClockIsOffStopsNobody) {
  world_.region("us").store->SetClockOffset(absl::Hours(3));
  world_.executor.RunFor(3 * ClockWatch::kInterval);
  EXPECT_EQ(at(0).Write(WriteKind::kSet, "k", "v"), "ok");
  EXPECT_TRUE(at(0).node().observer.own_clock.empty());
}

TEST_F(ClockSkewTest, ADeletedKeyStaysAwayWhateverTheClocksDo) {
  const char* const more = std::getenv("MERIDIAN_TEST_SEEDS");
  std::mt19937 random(more == nullptr ? 1 : static_cast<uint32_t>(std::atoi(more)));
  const auto any_skew = [&] {
    return random() % 4 == 0 ? absl::Hours(random() % 100) - absl::Hours(50)
                             : absl::Milliseconds(random() % 120'000) - absl::Minutes(1);
  };
  int deleted = 0;
  int refused = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    const std::string key = absl::StrCat("key:", random() % 20);
    for (auto& stack : stacks_) stack->node().clock.SetOffset(any_skew());
    SetWires(round % 4 == 0 ? StoreWire::Mode::kRefused : StoreWire::Mode::kOpen);
    // Several regions write, then one deletes what all have.
    for (size_t writes = 1 + random() % 3; writes > 0; --writes) {
      at(random() % 3).Write(WriteKind::kSet, key, absl::StrCat("round ", round));
      world_.executor.RunFor(absl::Milliseconds(random() % 50));
    }
    // The deleting region has heard of the writes; or they are older than clocks may be apart.
    const bool cut = round % 4 == 0;
    if (cut) {
      world_.executor.RunFor(2 * ClockGuard::kMaxSkew + absl::Seconds(1));
    } else {
      Converge();
    }
    if (random() % 2 == 0) at(random() % 3).node().clock.SetOffset(any_skew());
    const std::string answer = at(random() % 3).Write(WriteKind::kInvalidate, key);
    SetWires(StoreWire::Mode::kOpen);
    if (answer != "ok") {
      ASSERT_EQ(answer, "CLOCK_SKEW");
      ++refused;
      continue;
    }
    ++deleted;
    Converge();
    for (int look = 0; look < 5; ++look) {
      for (auto& stack : stacks_) {
        if (random() % 2 == 0) stack->node().clock.SetOffset(any_skew());
        ASSERT_EQ(stack->Read(key), "miss") << "round " << round << " at " << stack->node().id;
      }
      for (const char* region : {"us", "eu", "asia"}) {
        ASSERT_EQ(world_.Get(region, key), std::nullopt) << "round " << round;
      }
      world_.executor.RunFor(absl::Seconds(random() % 10));
    }
  }
  EXPECT_GT(deleted, kRounds / 5);   // The test must test something,
  EXPECT_GT(refused, kRounds / 20);  // and clocks were off indeed.
}

// The horizon of tombstones is a wall time: a clock from the future must not fence what lives.
TEST_F(ClockSkewTest, ARepairWaitsUntilTheClockIsRight) {
  world_.Set("us", "{t}old", "v", absl::Hours(24 * 30));
  world_.Set("eu", "{t}theirs", "v", absl::Hours(24 * 30));
  Converge();
  world_.node("us").wires["eu"]->mode = StoreWire::Mode::kRefused;
  world_.StopNode(world_.node("eu"));  // Whose own changes us never gets.
  world_.Set("eu", "{t}only-there", "v", absl::Hours(24 * 30));
  for (int i = 0; i < 50; ++i) world_.Set("us", absl::StrCat("{t}", i), "v");
  world_.executor.RunFor(absl::Seconds(1));
  world_.StopNode(world_.node("us"));
  world_.region("us").store->TrimLog(SlotOf("task", "{t}"), 1);
  at(0).node().clock.SetOffset(absl::Hours(48));  // Beyond the tombstones.
  world_.node("us").wires["eu"]->mode = StoreWire::Mode::kOpen;
  world_.Start();
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_THAT(world_.Get("eu", "{t}only-there"), Optional(std::string("v")));
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kRepairing);
  EXPECT_THAT(world_.Link("us", "eu").repair.problem, testing::HasSubstr("CLOCK_SKEW"));

  at(0).node().clock.SetOffset(absl::ZeroDuration());
  world_.executor.RunFor(absl::Minutes(1));
  EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
  EXPECT_THAT(world_.Get("eu", "{t}0"), Optional(std::string("v")));
  EXPECT_THAT(world_.Get("eu", "{t}only-there"), Optional(std::string("v")));
}

}  // namespace
}  // namespace meridian
