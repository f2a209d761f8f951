#include "common/rpc/topology_proto.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

Topology TwoMembers() {
  Member one;
  one.id = "us-1";
  one.data_address = "10.0.0.1:7400";
  one.peer_address = "10.0.0.1:7401";
  one.admin_address = "10.0.0.1:7402";
  one.http_address = "10.0.0.1:7403";
  one.weight = 3;
  one.incarnation = 99;
  Member two;
  two.id = "us-2";
  two.state = MemberState::kDraining;
  return *Topology::Create(12, "us", {one, two});
}

TEST(TopologyProtoTest, SurvivesTheWayOverTheWire) {
  const Topology topology = TwoMembers();
  cache::v1::Topology proto;
  ToProto(topology, &proto);
  const absl::StatusOr<Topology> back = FromProto(proto);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->epoch(), 12);
  EXPECT_EQ(back->region(), "us");
  EXPECT_EQ(back->members(), topology.members());
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    EXPECT_EQ(back->OwnerIndex(slot), topology.OwnerIndex(slot));
  }
}

TEST(TopologyProtoTest, NobodyServingHasNoOwners) {
  cache::v1::Topology proto;
  ToProto(Topology(), &proto);
  EXPECT_EQ(proto.slot_owners_size(), 0);
  ASSERT_TRUE(FromProto(proto).ok());
}

TEST(TopologyProtoTest, RefusesOwnersThatThisBuildWouldNotCompute) {
  cache::v1::Topology proto;
  ToProto(TwoMembers(), &proto);
  proto.set_slot_owners(5, 1);  // us-2 is draining and owns nothing.
  EXPECT_EQ(FromProto(proto).status().code(), absl::StatusCode::kInvalidArgument);
  ToProto(TwoMembers(), &proto);
  proto.add_slot_owners(0);
  EXPECT_EQ(FromProto(proto).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TopologyProtoTest, RefusesARepeatedMember) {
  cache::v1::Topology proto;
  ToProto(TwoMembers(), &proto);
  *proto.add_members() = proto.members(0);
  EXPECT_EQ(FromProto(proto).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace meridian
