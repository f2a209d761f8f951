#include "client/internal/routing_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace meridian {
namespace {

using ::testing::ElementsAre;

Member MemberAt(std::string id, std::string address, MemberState state = MemberState::kServing) {
  Member member;
  member.id = std::move(id);
  member.data_address = std::move(address);
  member.state = state;
  return member;
}

Topology TopologyOf(std::vector<Member> members) {
  absl::StatusOr<Topology> topology = Topology::Create(5, "us", std::move(members));
  EXPECT_TRUE(topology.ok()) << topology.status();
  return *std::move(topology);
}

TEST(RoutingTableTest, WithoutATopologyAllTargetsTakeTurns) {
  const RoutingTable table(Topology(), {"x:1", "y:1"});
  EXPECT_EQ(table.epoch(), 0u);
  EXPECT_THAT(table.addresses(), ElementsAre("x:1", "y:1"));
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    ASSERT_EQ(table.OwnerOf(slot), RoutingTable::kAnyNode);
  }
  EXPECT_EQ(table.AnyNode(0), 0);
  EXPECT_EQ(table.AnyNode(1), 1);
  EXPECT_EQ(table.AnyNode(2), 0);
}

TEST(RoutingTableTest, EverySlotGoesToTheAddressOfItsOwner) {
  const Topology topology = TopologyOf({MemberAt("b", "b:1"), MemberAt("a", "a:1"),
                                        MemberAt("joining", "j:1", MemberState::kJoining),
                                        MemberAt("drains", "d:1", MemberState::kDraining)});
  const RoutingTable table(topology, {"b:1", "dns.name:1"});
  EXPECT_EQ(table.epoch(), 5u);
  EXPECT_THAT(table.addresses(), ElementsAre("a:1", "b:1", "d:1", "dns.name:1"));
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    ASSERT_EQ(table.addresses()[table.OwnerOf(slot)], topology.OwnerOf(slot)->data_address);
  }
}

TEST(RoutingTableTest, CallsWithoutAnOwnerGoToServingMembersOnly) {
  const RoutingTable table(TopologyOf({MemberAt("a", "a:1"), MemberAt("b", "b:1"),
                                       MemberAt("c", "c:1", MemberState::kDraining)}),
                           {"t:1"});
  std::set<std::string> used;
  for (uint64_t turn = 0; turn < 20; ++turn) used.insert(table.addresses()[table.AnyNode(turn)]);
  EXPECT_THAT(used, ElementsAre("a:1", "b:1"));
}

TEST(RoutingTableTest, AnotherNodeIsNeverTheSameWhileThereIsAnother) {
  const RoutingTable one(TopologyOf({MemberAt("a", "a:1")}), {"a:1"});
  EXPECT_EQ(one.Another(0, 3), 0) << "there is no other";

  const RoutingTable target(TopologyOf({MemberAt("a", "a:1")}), {"t:1"});
  EXPECT_EQ(target.Another(0, 8), 1) << "a target is better than nothing";
  EXPECT_EQ(target.Another(1, 8), 0);

  const RoutingTable table(
      TopologyOf({MemberAt("a", "a:1"), MemberAt("b", "b:1"), MemberAt("c", "c:1")}), {"t:1"});
  for (uint64_t turn = 0; turn < 12; ++turn) {
    for (uint16_t node = 0; node < 4; ++node) {
      const uint16_t other = table.Another(node, turn);
      EXPECT_NE(other, node);
      EXPECT_LT(other, 3) << "serving members are preferred";
    }
  }
}

TEST(RoutingTableTest, AMemberWithoutAnAddressLeavesItsSlotsToAnybody) {
  const RoutingTable table(TopologyOf({MemberAt("a", "")}), {"t:1"});
  EXPECT_EQ(table.OwnerOf(0), RoutingTable::kAnyNode);
  EXPECT_EQ(table.AnyNode(9), 0);
}

}  // namespace
}  // namespace meridian
