#include "common/cluster/topology.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Member Node(std::string id, MemberState state = MemberState::kServing, uint32_t weight = 1) {
  Member member;
  member.id = std::move(id);
  member.state = state;
  member.weight = weight;
  return member;
}

Topology Make(uint64_t epoch, std::vector<Member> members) {
  absl::StatusOr<Topology> topology = Topology::Create(epoch, "us", std::move(members));
  EXPECT_TRUE(topology.ok()) << topology.status();
  return *std::move(topology);
}

TEST(TopologyTest, RefusesMembersThatCannotBe) {
  const auto message = [](std::vector<Member> members) {
    return Topology::Create(1, "us", std::move(members)).status().ToString();
  };
  EXPECT_THAT(message({Node("")}), HasSubstr("without an id"));
  EXPECT_THAT(message({Node("b"), Node("a"), Node("b")}), HasSubstr("'b' listed twice"));
  EXPECT_THAT(message({Node("a", MemberState::kServing, 0)}), HasSubstr("weight 0"));
  EXPECT_THAT(message({Node("a", MemberState::kServing, 1001)}), HasSubstr("weight 1001"));
}

TEST(TopologyTest, OnlyServingMembersOwnSlots) {
  const Topology topology =
      Make(1, {Node("c", MemberState::kDraining), Node("b"), Node("a", MemberState::kJoining)});
  EXPECT_EQ(topology.members()[0].id, "a");
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    ASSERT_NE(topology.OwnerOf(slot), nullptr);
    ASSERT_EQ(topology.OwnerOf(slot)->id, "b");
  }
  EXPECT_THAT(topology.SlotsOf("a"), IsEmpty());
  EXPECT_EQ(topology.SlotsOf("b").size(), size_t{kSlotCount});
}

TEST(TopologyTest, WithoutAServingMemberNobodyOwns) {
  for (const Topology& topology : {Topology(), Make(3, {Node("a", MemberState::kJoining)})}) {
    EXPECT_EQ(topology.OwnerIndex(0), Topology::kNoOwner);
    EXPECT_EQ(topology.OwnerOf(kSlotCount - 1), nullptr);
  }
}

TEST(TopologyTest, MembersAreFoundById) {
  const Topology topology = Make(1, {Node("b"), Node("a"), Node("c")});
  EXPECT_EQ(topology.IndexOf("a"), 0);
  EXPECT_EQ(topology.IndexOf("c"), 2);
  EXPECT_EQ(topology.IndexOf("bb"), Topology::kNoOwner);
  EXPECT_EQ(
      topology.SlotsOf("a").size() + topology.SlotsOf("b").size() + topology.SlotsOf("c").size(),
      size_t{kSlotCount});
}

TEST(TopologyHolderTest, KeepsTheHighestEpochAndTellsEachChangeOnce) {
  TopologyHolder holder;
  EXPECT_EQ(holder.Get()->epoch(), 0u);
  std::vector<uint64_t> seen;
  holder.AddListener(
      [&](const TopologyHolder::Snapshot& previous, const TopologyHolder::Snapshot& current) {
        EXPECT_EQ(holder.Get(), current);
        seen.push_back(previous->epoch());
        seen.push_back(current->epoch());
      });
  EXPECT_TRUE(holder.Offer(Make(2, {Node("a")})));
  EXPECT_FALSE(holder.Offer(Make(2, {Node("b")})));
  EXPECT_FALSE(holder.Offer(Make(1, {Node("b")})));
  EXPECT_TRUE(holder.Offer(Make(5, {Node("b")})));
  EXPECT_THAT(seen, ElementsAre(0, 2, 2, 5));
  EXPECT_EQ(holder.Get()->OwnerOf(0)->id, "b");
}

TEST(TopologyHolderTest, ListenersSeeGrowingEpochsWhenThreadsRace) {
  TopologyHolder holder;
  std::vector<uint64_t> seen;  // Listeners run one at a time.
  holder.AddListener([&](const auto&, const auto& current) { seen.push_back(current->epoch()); });
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&holder, t] {
      for (uint64_t i = 1; i <= 20; ++i) holder.Offer(Make(i * 4 + t, {Node("a")}));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_EQ(seen.back(), 83u);
  EXPECT_EQ(holder.Get()->epoch(), 83u);
}

}  // namespace
}  // namespace meridian
