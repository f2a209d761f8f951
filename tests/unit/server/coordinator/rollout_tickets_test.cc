#include "server/coordinator/rollout_tickets.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

class RolloutTicketsTest : public ::testing::Test {
 protected:
  RolloutTicketsTest() {
    for (const char* id : {"a", "b", "c"}) {
      NodeView view;
      view.member.id = id;
      view.member.state = MemberState::kServing;
      view.member.incarnation = 1;
      view.warmth = 1;
      nodes_.push_back(view);
    }
  }
  std::string Ask(const std::string& node) { return tickets_.Ask(node, nodes_, now_); }

  RolloutTickets tickets_;
  std::vector<NodeView> nodes_;
  absl::Duration now_ = absl::Seconds(1000);
};

TEST_F(RolloutTicketsTest, TheNextOneGoesWhenTheLastOneIsBackAndWarm) {
  EXPECT_EQ(Ask("a"), "");
  EXPECT_EQ(Ask("a"), "") << "it may ask again";
  EXPECT_EQ(Ask("b"), "a is being restarted") << "also while a has not begun";
  nodes_[0].member.state = MemberState::kDraining;
  EXPECT_EQ(Ask("b"), "a is being restarted");
  NodeView back = nodes_[0];
  nodes_.erase(nodes_.begin());
  EXPECT_EQ(Ask("b"), "a is being restarted");
  ++back.member.incarnation;
  back.member.state = MemberState::kServing;
  back.warmth = 0.1;
  nodes_.insert(nodes_.begin(), back);
  EXPECT_EQ(Ask("b"), "a is being restarted");
  nodes_[0].warmth = RolloutTickets::kWarm;
  EXPECT_EQ(Ask("b"), "");
  EXPECT_EQ(Ask("a"), "b is being restarted");
}

TEST_F(RolloutTicketsTest, NobodyGoesWhileAnotherOneIsAwayOrCold) {
  nodes_[1].member.state = MemberState::kJoining;
  EXPECT_EQ(Ask("a"), "b joins");
  nodes_[1].member.state = MemberState::kDraining;
  EXPECT_EQ(Ask("a"), "b drains");
  nodes_[1].member.state = MemberState::kServing;
  nodes_[1].warmth = 0.25;
  EXPECT_EQ(Ask("a"), "b is cold (warmth 0.25)");
  nodes_[0].warmth = 0;
  nodes_[1].warmth = 1;
  EXPECT_EQ(Ask("a"), "") << "its own warmth does not matter";
}

TEST_F(RolloutTicketsTest, AHolderThatDoesNotGoOrDoesNotComeBackHoldsUpNobodyForEver) {
  EXPECT_EQ(Ask("a"), "");
  now_ += RolloutTickets::kUnused - absl::Seconds(1);
  EXPECT_EQ(Ask("b"), "a is being restarted");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("b"), "");
  nodes_.erase(nodes_.begin() + 1);
  EXPECT_EQ(Ask("c"), "b is being restarted");
  now_ += RolloutTickets::kAbsence - absl::Seconds(1);
  EXPECT_EQ(Ask("c"), "b is being restarted");
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask("c"), "");
}

// Its drain failed, or was called off: it serves on.
TEST_F(RolloutTicketsTest, AHolderThatCameToStayHoldsUpNobody) {
  EXPECT_EQ(Ask("a"), "");
  nodes_[0].member.state = MemberState::kDraining;
  now_ += absl::Minutes(2);
  EXPECT_EQ(Ask("b"), "a is being restarted") << "however long it drains";
  nodes_[0].member.state = MemberState::kServing;
  EXPECT_EQ(Ask("b"), "a is being restarted");
  now_ += RolloutTickets::kUnused;
  EXPECT_EQ(Ask("b"), "");
}

TEST_F(RolloutTicketsTest, WhatIsGivenBackIsTheNextOnesAtOnce) {
  EXPECT_EQ(Ask("a"), "");
  tickets_.GiveBack("b", nodes_);
  tickets_.GiveBack("nobody", nodes_);
  EXPECT_EQ(Ask("b"), "a is being restarted") << "it is not theirs";
  tickets_.GiveBack("a", nodes_);
  EXPECT_EQ(Ask("b"), "");
  tickets_.GiveBack("a", nodes_);
  EXPECT_EQ(Ask("a"), "b is being restarted") << "said twice";
}

TEST_F(RolloutTicketsTest, WhoIsAwayUnderATicketKeepsItWhateverArrivesLate) {
  EXPECT_EQ(Ask("a"), "");
  NodeView back = nodes_[0];
  nodes_.erase(nodes_.begin());
  tickets_.GiveBack("a", nodes_);
  EXPECT_EQ(Ask("b"), "a is being restarted");
  back.member.incarnation = 2;
  back.warmth = 0;
  nodes_.push_back(back);
  tickets_.GiveBack("a", nodes_);
  EXPECT_EQ(Ask("b"), "a is being restarted") << "another process";
}

TEST_F(RolloutTicketsTest, ANewLeaderKnowsWhoHasOne) {
  EXPECT_EQ(Ask("a"), "");
  const std::string known = tickets_.Encode();
  nodes_.erase(nodes_.begin());  // It is away.
  tickets_.Forget();
  tickets_.Restore(known, now_);
  EXPECT_EQ(Ask("b"), "a is being restarted");
  now_ += RolloutTickets::kAbsence;
  EXPECT_EQ(Ask("b"), "");
  for (const char* other : {"", "x", "x a", " "}) {
    tickets_.Restore(other, now_);
    EXPECT_EQ(tickets_.Encode(), "") << other;
  }
}

}  // namespace
}  // namespace meridian
