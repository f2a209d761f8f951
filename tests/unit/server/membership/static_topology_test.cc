#include "server/membership/static_topology.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

Member Named(const std::string& id) {
  Member member;
  member.id = id;
  return member;
}

TEST(StaticTopologyTest, EveryListedMemberServesFromEpochOne) {
  Member a = Named("a");
  a.state = MemberState::kJoining;
  Member b = Named("b");
  b.weight = 2;
  const absl::StatusOr<Topology> topology = StaticTopology("us", {b, a});
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->epoch(), 1u);
  EXPECT_EQ(topology->region(), "us");
  EXPECT_GT(topology->SlotsOf("a").size(), 300u);
  EXPECT_GT(topology->SlotsOf("b").size(), 600u);
}

TEST(StaticTopologyTest, ListsThatCannotBeAreRefused) {
  EXPECT_EQ(StaticTopology("us", {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(StaticTopology("us", {Named("a"), Named("a")}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace meridian
