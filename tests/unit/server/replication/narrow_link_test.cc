// A link that is narrower than what waits: everything crosses, and not much of it twice.

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {
namespace {

constexpr size_t kValueBytes = size_t{1} << 20;
constexpr int kValues = 6;
constexpr size_t kBytesPerSecond = 64 << 10;  // 16 s for each of them.

class NarrowLinkTest : public testing::Test {
 protected:
  NarrowLinkTest() {
    world_.Start();
    world_.Set("us", "{a}first", "v");
    world_.Set("us", "{b}first", "v");
    world_.executor.RunFor(absl::Seconds(2));
    to_eu().bytes_per_second = kBytesPerSecond;
  }
  StoreWire& to_eu() { return *world_.node("us").wires["eu"]; }
  void Write() {
    ++round_;
    to_eu().bytes_sent = 0;
    for (int i = 0; i < kValues; ++i) {
      world_.Set("us", absl::StrCat(i % 2 == 0 ? "{a}" : "{b}", i),
                 std::string(kValueBytes, Letter()));
    }
  }
  int Missing() {
    int missing = 0;
    for (int i = 0; i < kValues; ++i) {
      const auto there = world_.Get("eu", absl::StrCat(i % 2 == 0 ? "{a}" : "{b}", i));
      missing += there && there->front() == Letter() ? 0 : 1;
    }
    return missing;
  }
  void ExpectAllCross() {
    const absl::Duration once = absl::Seconds(kValues * kValueBytes / kBytesPerSecond);
    absl::Duration took;
    for (; Missing() > 0 && took < 4 * once; took += absl::Seconds(4)) {
      world_.executor.RunFor(absl::Seconds(4));
    }
    EXPECT_EQ(Missing(), 0) << took;
    EXPECT_LT(to_eu().bytes_sent, 4 * kValues * kValueBytes);
    world_.executor.RunFor(absl::Minutes(1));
    const size_t sent = to_eu().bytes_sent;
    world_.executor.RunFor(absl::Minutes(1));
    EXPECT_LT(to_eu().bytes_sent, sent + kValueBytes) << "and that is all";
    EXPECT_EQ(world_.Link("us", "eu").state, LinkState::kStreaming);
  }

  char Letter() const { return static_cast<char>('a' + round_); }

  ReplicationWorld world_{{"us", "eu"}};
  int round_ = 0;
};

TEST_F(NarrowLinkTest, LargeValuesCrossOneByOne) {
  Write();
  ExpectAllCross();
}

TEST_F(NarrowLinkTest, AlsoWhereWhatIsLateIsLost) {
  to_eu().late_is_lost = true;
  Write();
  ExpectAllCross();
}

TEST_F(NarrowLinkTest, SoTheyDoInARepair) {
  for (const bool lost : {false, true}) {
    to_eu().late_is_lost = lost;
    world_.StopNode(world_.node("us"));
    Write();
    world_.Set("us", "{a}last", "v");
    world_.Set("us", "{b}last", "v");
    world_.executor.RunDue();
    for (const char* slot : {"{a}", "{b}"}) {
      world_.region("us").store->TrimLog(SlotOf("task", slot), 1);
    }
    world_.Start();
    ExpectAllCross();
  }
}

}  // namespace
}  // namespace meridian
