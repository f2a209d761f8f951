#include "server/coordinator/coordinator_presence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::Duration kDelay = absl::Seconds(3);

absl::Time At(double seconds) { return absl::FromUnixSeconds(1'000'000) + absl::Seconds(seconds); }
std::string Holder(std::string_view id, double started = 0) {
  return CoordinatorPresence::MakeHolder(id, 17, At(started));
}

class CoordinatorPresenceTest : public testing::Test {
 protected:
  // Every second from `from` to `to`.
  void Hear(const std::vector<std::string>& holders, double from, double to) {
    for (double second = from; second <= to; ++second) {
      for (const std::string& holder : holders) presence_.Hear(holder, At(second));
      presence_.Look(At(second));
    }
  }
  std::vector<std::string> Known() const {
    std::vector<std::string> known;
    for (const auto& [id, one] : presence_.known()) {
      known.push_back(absl::StrCat(id, one.down ? " down" : ""));
    }
    return known;
  }

  CoordinatorPresence presence_{kDelay};
};

TEST_F(CoordinatorPresenceTest, AHolderSaysWhoAndSinceWhen) {
  const std::string holder = CoordinatorPresence::MakeHolder("us/1", 17, At(5));
  EXPECT_EQ(CoordinatorPresence::IdOf(holder), "us/1");
  EXPECT_EQ(CoordinatorPresence::StartOf(holder), At(5));
  EXPECT_EQ(CoordinatorPresence::IdOf("other"), "other");
  EXPECT_EQ(CoordinatorPresence::StartOf("other"), absl::UnixEpoch());
}

TEST_F(CoordinatorPresenceTest, WhoIsSilentIsDownUntilItIsHeardAgain) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  Hear({Holder("a")}, 21, 29);
  EXPECT_THAT(Known(), ElementsAre("a", "b"));
  Hear({Holder("a")}, 30, 30);
  EXPECT_THAT(Known(), ElementsAre("a", "b down"));
  Hear({Holder("a"), Holder("b", 40)}, 41, 41);
  EXPECT_THAT(Known(), ElementsAre("a", "b"));
}

TEST_F(CoordinatorPresenceTest, WhoSaysGoodbyeIsNotMissed) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  presence_.Leave(Holder("b"));
  Hear({Holder("a")}, 21, 60);
  EXPECT_THAT(Known(), ElementsAre("a"));
}

TEST_F(CoordinatorPresenceTest, TheGoodbyeOfAnEarlierStartIsNotThatOfThisOne) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  presence_.Hear(Holder("b", 20), At(21));
  presence_.Leave(Holder("b"));
  presence_.Hear(Holder("b"), At(22));  // Its last note.
  ASSERT_THAT(Known(), ElementsAre("a", "b"));
  EXPECT_EQ(presence_.known().at("b").holder, Holder("b", 20));
  EXPECT_EQ(presence_.known().at("b").heard, At(21));
}

TEST_F(CoordinatorPresenceTest,
       OneThatStartsAgainWithAClockThatWentBackIsHeardOnceItsOldNotesEnded) {
  Hear({Holder("a"), Holder("b", 90)}, 100, 120);
  Hear({Holder("a"), Holder("b", 60)}, 121, 129);
  EXPECT_EQ(presence_.known().at("b").holder, Holder("b", 90));
  Hear({Holder("a"), Holder("b", 60)}, 130, 140);
  EXPECT_THAT(Known(), ElementsAre("a", "b"));
  EXPECT_EQ(presence_.known().at("b").holder, Holder("b", 60));
}

TEST_F(CoordinatorPresenceTest, WhoIsDownIsForgottenAtLast) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  const double end = 20 + absl::ToDoubleSeconds(CoordinatorPresence::kForgottenAfter);
  Hear({Holder("a")}, end - 1, end - 1);
  EXPECT_THAT(Known(), ElementsAre("a", "b down"));
  Hear({Holder("a")}, end, end);
  EXPECT_THAT(Known(), ElementsAre("a"));
}

// A pod that was killed, and the one that a Deployment makes for it.
TEST_F(CoordinatorPresenceTest, OneThatComesLaterTakesThePlaceOfOneThatDied) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  Hear({Holder("a")}, 21, 40);
  ASSERT_THAT(Known(), ElementsAre("a", "b down"));
  Hear({Holder("a"), Holder("c", 40)}, 41, 41);
  EXPECT_THAT(Known(), ElementsAre("a", "c"));
}

TEST_F(CoordinatorPresenceTest, AlsoBeforeTheOtherIsMissed) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  Hear({Holder("a"), Holder("c", 18)}, 18, 60);  // What b left is heard for `delay` after its end.
  EXPECT_THAT(Known(), ElementsAre("a", "c"));
}

TEST_F(CoordinatorPresenceTest, EachTakesOnePlaceTheOldestFirst) {
  Hear({Holder("a"), Holder("x"), Holder("b")}, 0, 20);
  Hear({Holder("a"), Holder("b")}, 21, 25);
  Hear({Holder("a")}, 26, 50);
  ASSERT_THAT(Known(), ElementsAre("a", "b down", "x down"));
  Hear({Holder("a"), Holder("c", 50)}, 51, 60);
  EXPECT_THAT(Known(), ElementsAre("a", "b down", "c"));
  Hear({Holder("a"), Holder("c", 50), Holder("d", 60)}, 61, 70);
  EXPECT_THAT(Known(), ElementsAre("a", "c", "d"));
  Hear({Holder("a"), Holder("c", 50)}, 71, 90);
  EXPECT_THAT(Known(), ElementsAre("a", "c", "d down"));
}

// A rollout that makes the new pod first: the old one says goodbye, and the new one has taken no
// place, nor does it that of another that dies later.
TEST_F(CoordinatorPresenceTest, OneThatWasThereBeforeTakesNoPlace) {
  Hear({Holder("a"), Holder("b")}, 0, 20);
  Hear({Holder("a"), Holder("b"), Holder("c", 20)}, 21, 40);
  presence_.Leave(Holder("b"));
  Hear({Holder("a"), Holder("c", 20)}, 41, 50);
  ASSERT_THAT(Known(), ElementsAre("a", "c"));
  Hear({Holder("c", 20)}, 51, 70);
  EXPECT_THAT(Known(), ElementsAre("a down", "c"));
}

TEST_F(CoordinatorPresenceTest, TheNextLeaderGoesOnAndGivesTimeToThoseWhoWereThere) {
  Hear({Holder("a"), Holder("b"), Holder("c")}, 0, 20);
  Hear({Holder("a"), Holder("b")}, 21, 40);
  ASSERT_THAT(Known(), ElementsAre("a", "b", "c down"));
  CoordinatorPresence next(kDelay);
  ASSERT_TRUE(next.Restore(presence_.Encode(), At(100)));
  EXPECT_EQ(next.Encode(), presence_.Encode());
  EXPECT_EQ(next.known().at("c").heard, At(20));
  presence_ = next;
  Hear({Holder("b")}, 100, 109);
  EXPECT_THAT(Known(), ElementsAre("a", "b", "c down"));
  Hear({Holder("b")}, 110, 110);
  EXPECT_THAT(Known(), ElementsAre("a down", "b", "c down"));
}

TEST_F(CoordinatorPresenceTest, WhatIsStoredIsEqualAsLongAsNobodyComesOrGoes) {
  Hear({Holder("a"), Holder("b")}, 0, 1);
  const std::string stored = presence_.Encode();
  Hear({Holder("a"), Holder("b")}, 2, 100);
  EXPECT_EQ(presence_.Encode(), stored);
}

TEST_F(CoordinatorPresenceTest, WhatCannotBeReadIsNobody) {
  for (const char* text : {"", "\xff", "{}", "[1]", "[{}]", R"([{"holder": 1}])"}) {
    Hear({Holder("a")}, 0, 1);
    EXPECT_FALSE(presence_.Restore(text, At(2))) << text;
    EXPECT_THAT(Known(), IsEmpty()) << text;
  }
  EXPECT_TRUE(
      presence_.Restore(R"([{"holder": "a/1/2", "first_ms": "x", "took_place": 3}])", At(2)));
  EXPECT_THAT(Known(), ElementsAre("a"));
}

TEST_F(CoordinatorPresenceTest, OnlySoManyAreKnown) {
  for (size_t i = 0; i < 2 * CoordinatorPresence::kMaxKnown; ++i) {
    presence_.Hear(Holder(absl::StrCat("c", i)), At(0));
  }
  EXPECT_EQ(Known().size(), CoordinatorPresence::kMaxKnown);
}

}  // namespace
}  // namespace meridian
