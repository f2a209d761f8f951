#include "common/cluster/slot_assignment.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

struct Node {
  std::string id;
  uint32_t weight = 1;
};
using Nodes = std::vector<Node>;

// Names as people give them, a different family for every seed.
Nodes MakeNodes(int count, int seed) {
  static constexpr const char* kPrefixes[] = {"node-", "us-node-", "cache.prod-", "n"};
  Nodes nodes;
  for (int i = 0; i < count; ++i) {
    nodes.push_back({kPrefixes[seed % 4] + std::to_string(seed * 1000 + i), 1});
  }
  return nodes;
}

// Owner of every slot by id.
std::vector<std::string> Owners(const Nodes& nodes) {
  std::vector<SlotCandidate> candidates;
  for (const Node& node : nodes) candidates.push_back({node.id, node.weight});
  std::vector<std::string> owners;
  for (const uint16_t index : AssignSlots(candidates)) {
    owners.push_back(index < nodes.size() ? nodes[index].id : "nobody");
  }
  return owners;
}

std::map<std::string, uint32_t> Loads(const std::vector<std::string>& owners) {
  std::map<std::string, uint32_t> loads;
  for (const std::string& owner : owners) ++loads[owner];
  return loads;
}

int CountMoved(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  int moved = 0;
  for (size_t slot = 0; slot < kSlotCount; ++slot) moved += a[slot] != b[slot] ? 1 : 0;
  return moved;
}

uint64_t TotalWeight(const Nodes& nodes) {
  uint64_t total = 0;
  for (const Node& node : nodes) total += node.weight;
  return total;
}

// Load <= 1.05 of the share, or the share rounded up; written without SlotBound.
void ExpectBalanced(const Nodes& nodes) {
  const auto loads = Loads(Owners(nodes));
  EXPECT_EQ(loads.count("nobody"), 0u);
  const uint64_t total = TotalWeight(nodes);
  for (const Node& node : nodes) {
    const auto it = loads.find(node.id);
    const uint64_t load = it == loads.end() ? 0 : it->second;
    const bool within_slack = load * total * 100 <= uint64_t{kSlotCount} * node.weight * 105;
    const bool within_ceiling =
        (load - (load > 0 ? 1 : 0)) * total < uint64_t{kSlotCount} * node.weight;
    EXPECT_TRUE(within_slack || within_ceiling)
        << node.id << " of " << nodes.size() << " owns " << load;
  }
}

TEST(SlotAssignmentTest, NoNodeOwnsMoreThanItsBound) {
  for (int n = 1; n <= 50; ++n) {
    for (int seed = 0; seed < 4; ++seed) ExpectBalanced(MakeNodes(n, seed));
  }
}

TEST(SlotAssignmentTest, LoadFollowsTheWeightsWithinTheBound) {
  std::mt19937 random(7);
  for (int n = 2; n <= 50; n += 3) {
    Nodes nodes = MakeNodes(n, n);
    for (Node& node : nodes) node.weight = 1 + random() % 4;
    ExpectBalanced(nodes);
    for (Node& node : nodes) node.weight = 1 + random() % 1000;
    ExpectBalanced(nodes);
  }
}

// Removing each of some nodes in turn; a join is the same pair of maps the other way round.
double WorstMoveTimesN(int n, int seed) {
  const Nodes nodes = MakeNodes(n, seed);
  const auto before = Owners(nodes);
  double worst = 0;
  for (int leaving = 0; leaving < n; leaving += std::max(1, n / 4)) {
    Nodes rest = nodes;
    rest.erase(rest.begin() + leaving);
    const double moved = CountMoved(before, Owners(rest));
    worst = std::max(worst, moved * n / kSlotCount);
  }
  return worst;
}

TEST(SlotAssignmentTest, AJoinOrLeaveMovesAtMostFiveQuartersOfAShareUpToTwelveNodes) {
  for (int n = 2; n <= 12; ++n) {
    for (int seed = 0; seed < 12; ++seed) EXPECT_LE(WorstMoveTimesN(n, seed), 1.25) << n;
  }
}

// docs/adr/0003 says why the target of 1.25 cannot be kept with so few slots a node.
TEST(SlotAssignmentTest, AJoinOrLeaveOfALargeClusterMovesAtMostThreeShares) {
  for (int n = 13; n <= 50; ++n) {
    EXPECT_LE(WorstMoveTimesN(n, n), n <= 16 ? 1.4 : n <= 25 ? 1.7 : n <= 40 ? 2.4 : 3.1) << n;
  }
}

TEST(SlotAssignmentTest, AWeightedNodeThatLeavesMovesAboutItsOwnShare) {
  std::mt19937 random(11);
  for (int n = 2; n <= 10; ++n) {
    Nodes nodes = MakeNodes(n, n);
    for (Node& node : nodes) node.weight = 1 + random() % 3;
    const auto before = Owners(nodes);
    for (int leaving = 0; leaving < n; ++leaving) {
      Nodes rest = nodes;
      const double share = double{kSlotCount} * rest[leaving].weight / TotalWeight(nodes);
      rest.erase(rest.begin() + leaving);
      // The other nodes' shares change by more than 1/N when a heavy node leaves, so the slack of
      // 0.25 is of the larger of both shares.
      const double slack = 0.25 * std::max(share, double{kSlotCount} / n);
      EXPECT_LE(CountMoved(before, Owners(rest)), share + slack) << n << " " << leaving;
    }
  }
}

TEST(SlotAssignmentTest, OrderOfTheCandidatesDoesNotMatter) {
  std::mt19937 random(3);
  Nodes nodes = MakeNodes(17, 2);
  for (Node& node : nodes) node.weight = 1 + random() % 3;
  const auto expected = Owners(nodes);
  for (int i = 0; i < 20; ++i) {
    std::shuffle(nodes.begin(), nodes.end(), random);
    ASSERT_EQ(Owners(nodes), expected);
  }
}

TEST(SlotAssignmentTest, ALoneNodeOwnsEverySlot) {
  EXPECT_EQ(Loads(Owners({{"only", 1000}})), (std::map<std::string, uint32_t>{{"only", 1024}}));
}

TEST(SlotAssignmentTest, AsManyNodesAsSlotsOwnOneEach) {
  const auto loads = Loads(Owners(MakeNodes(kSlotCount, 1)));
  EXPECT_EQ(loads.size(), size_t{kSlotCount});
}

TEST(SlotAssignmentTest, GoldenOwners) {
  const auto owners = Owners({{"node-1"}, {"node-2"}, {"node-3", 2}});
  std::string first;
  for (int slot = 0; slot < 32; ++slot) first += owners[slot].back();
  EXPECT_EQ(first, "33332332323121123221133332333312");
  // One hash over the whole table of a larger cluster.
  std::string all;
  for (const std::string& owner : Owners(MakeNodes(20, 5))) all += owner + ",";
  EXPECT_EQ(Hash64(all), 7837244354305446767u);
}

}  // namespace
}  // namespace meridian
