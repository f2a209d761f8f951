// Which keys somebody has a lease of, by slot: however a lease ends, and whoever has the next one.

#include <string>
#include <vector>

#include "tests/unit/server/node/origin_fixture.h"

namespace meridian {
namespace {

using testing::ElementsAre;

class FlightLeasesTest : public OriginFixture {
 protected:
  void SetUp() override { Start(1, nullptr, ", lease_ttl: 2s"); }
  static uint32_t Slot(const std::string& key) { return SlotOf(kSpace, key); }
  // The keys of the slot of `key`.
  Strings Leased(const std::string& key) {
    Strings keys;
    for (const auto& flight : node(0).misses().flights().LeasedOf(Slot(key))) {
      keys.emplace_back(flight->key().key);
    }
    return keys;
  }
  int64_t leased() { return node(0).misses().flights().leased(); }
  std::string LeaseOf(const std::string& key) { return Begin({key}, Lease())->results.at(0).lease; }
};

TEST_F(FlightLeasesTest, TheyAreFoundByTheirSlotAndOtherFlightsAreNot) {
  for (const char* key : {"{a}1", "{a}2", "{b}1"}) EXPECT_FALSE(LeaseOf(key).empty());
  store_.HoldReplies();
  const auto looks = Begin({"{a}3", "{c}1"}, Lease());
  EXPECT_THAT(Leased("{a}"), testing::UnorderedElementsAre("{a}1", "{a}2"));
  EXPECT_THAT(Leased("{b}"), ElementsAre("{b}1"));
  EXPECT_THAT(Leased("{c}"), ElementsAre());
  EXPECT_EQ(leased(), 3);
  store_.ReleaseReplies();
  executor_.RunDue();
  EXPECT_EQ(leased(), 5);
}

TEST_F(FlightLeasesTest, NoneIsLeftWhenItsLeaseHasEnded) {
  const std::string filled = LeaseOf("{a}filled");
  EXPECT_EQ(ShowWrite(WriteOne(node(0), FillOf("{a}filled", "v", filled))), "ok");
  const std::string returned = LeaseOf("{a}returned");
  WriteItem back = FillOf("{a}returned", "", returned);
  back.lease_use = LeaseUse::kGiveBack;
  EXPECT_EQ(ShowWrite(WriteOne(node(0), std::move(back))), "ok");
  for (const char* key : {"{a}written", "{a}deleted", "{a}expired"}) LeaseOf(key);
  WriteOne(node(0), SetOf("{a}written", "v"));
  WriteOne(node(0), InvalidateOf("{a}deleted"));
  EXPECT_THAT(Leased("{a}"), ElementsAre("{a}expired"));
  executor_.RunFor(absl::Seconds(2));
  EXPECT_THAT(Leased("{a}"), ElementsAre());
  EXPECT_TRUE(IsQuiet());
}

TEST_F(FlightLeasesTest, TheNextLeaseOfAKeyIsFoundToo) {
  LeaseOf("k");
  const auto next = Begin({"k"}, Lease(), 0, absl::Seconds(10));
  const auto third = Begin({"k"}, Lease(), 0, absl::Seconds(10));
  WriteOne(node(0), InvalidateOf("k"));
  ASSERT_THAT(next->shown, ElementsAre("miss"));
  EXPECT_THAT(Leased("k"), ElementsAre("k"));
  executor_.RunFor(absl::Seconds(2));
  ASSERT_THAT(third->shown, ElementsAre("miss")) << "the second one has expired";
  EXPECT_THAT(Leased("k"), ElementsAre("k"));
  EXPECT_EQ(leased(), 1);
}

TEST_F(FlightLeasesTest, ASlotInDoubtVoidsItsOwnAndNoOthers) {
  for (const char* key : {"{a}1", "{b}1"}) LeaseOf(key);
  const auto of_a = Begin({"{a}1"}, Lease());
  const auto of_b = Begin({"{b}1"}, Lease());
  node(0).misses().OnSlotInDoubt(Slot("{a}"), /*lost=*/false);
  executor_.RunDue();
  EXPECT_THAT(of_a->shown, ElementsAre("miss")) << "a lease of its own";
  EXPECT_THAT(of_b->shown, ElementsAre());
  EXPECT_THAT(Leased("{a}"), ElementsAre("{a}1"));
  node(0).misses().OnSlotInDoubt(Slot("{b}"), /*lost=*/true);
  executor_.RunDue();
  EXPECT_THAT(of_b->shown, ElementsAre("miss")) << "it asked the owner again, which is the same";
  EXPECT_FALSE(of_b->results[0].lease.empty());
  EXPECT_THAT(Leased("{b}"), ElementsAre("{b}1"));
  EXPECT_EQ(leased(), 2);
}

}  // namespace
}  // namespace meridian
