// WatchHub: numbers without holes, the ring, gaps, and what a message says of its completeness.

#include "server/node/watch_hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fake_clock.h"

namespace meridian {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kIncarnation = 77;

SlotSet Slots(std::initializer_list<uint32_t> slots) {
  SlotSet set;
  for (const uint32_t slot : slots) set.set(slot);
  return set;
}

// "slot:key@hlc", "gap slot", "ended slot", "fence namespace".
std::string Show(const cache::v1::WatchEvent& event) {
  if (event.has_gap()) return absl::StrCat(event.gap().ended() ? "ended " : "gap ", event.slot());
  if (event.has_fence()) return absl::StrCat("fence ", event.namespace_());
  return absl::StrCat(event.slot(), ":", event.key(), "@", event.version().hlc());
}

std::vector<std::string> Show(const cache::v1::WatchResponse& message) {
  std::vector<std::string> shown;
  for (const auto& event : message.events()) shown.push_back(Show(event));
  return shown;
}

class WatchHubTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const uint32_t slot : {1u, 2u, 3u}) hub_.SlotFollowed(slot);
  }

  static WatchHubOptions Options() {
    return {.incarnation = kIncarnation,
            .max_events = 100,
            .max_bytes = 64 << 10,
            .message_bytes = 1 << 10};
  }

  void Change(uint32_t slot, uint64_t hlc) {
    hub_.Changed(slot, "task", absl::StrCat("k", hlc), Version{hlc, 1});
  }

  // The next message; fails the test when there is none.
  cache::v1::WatchResponse Next(WatchHub::Reader& reader, bool alive = true) {
    std::string bytes;
    cache::v1::WatchResponse message;
    EXPECT_TRUE(hub_.Read(&reader, alive, &bytes));
    EXPECT_TRUE(message.ParseFromString(bytes));
    EXPECT_EQ(message.incarnation(), kIncarnation);
    return message;
  }
  bool HasNext(WatchHub::Reader& reader) {
    std::string bytes;
    return hub_.Read(&reader, /*alive=*/false, &bytes);
  }

  FakeClock clock_;
  WatchHub hub_{Options(), clock_};
};

TEST_F(WatchHubTest, AReaderGetsTheEventsOfItsSlotsInOrder) {
  WatchHub::Reader reader = hub_.Open(Slots({1, 3}), 0, 0);
  EXPECT_THAT(Show(Next(reader)), IsEmpty());
  Change(1, 10);
  Change(2, 11);
  Change(3, 12);
  const auto message = Next(reader);
  EXPECT_THAT(Show(message), ElementsAre("1:k10@10", "3:k12@12"));
  EXPECT_EQ(message.events(0).namespace_(), "task");
  EXPECT_FALSE(HasNext(reader));
  hub_.Close(reader);
}

TEST_F(WatchHubTest, AnEventThatIsNotForTheReaderMakesNoMessageAndNoHole) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  const uint64_t first = Next(reader).sequence();
  Change(2, 10);
  EXPECT_FALSE(HasNext(reader));
  Change(1, 11);
  const auto message = Next(reader);
  EXPECT_EQ(message.previous(), first);
  EXPECT_EQ(message.sequence(), first + 2);
  hub_.Close(reader);
}

TEST_F(WatchHubTest, AChangeThatIsToldTwiceIsOneEvent) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  Next(reader);
  Change(1, 10);  // The owner's write,
  Change(1, 11);
  Change(1, 10);  // and its echo from the changelog.
  EXPECT_THAT(Show(Next(reader)), ElementsAre("1:k10@10", "1:k11@11"));
  EXPECT_EQ(hub_.Stats().duplicates, 1);
  hub_.Close(reader);
}

TEST_F(WatchHubTest, AReaderGoesOnWhereItWasWhileTheRingHasIt) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  Next(reader);
  Change(1, 10);
  const uint64_t seen = Next(reader).sequence();
  hub_.Close(reader);
  Change(1, 11);
  WatchHub::Reader again = hub_.Open(Slots({1}), seen, kIncarnation);
  const auto message = Next(again);
  EXPECT_EQ(message.previous(), seen);
  EXPECT_THAT(Show(message), ElementsAre("1:k11@11"));
  EXPECT_EQ(hub_.Stats().resumed, 1);
  hub_.Close(again);
}

TEST_F(WatchHubTest, AReaderOfAnotherIncarnationOrOfTheFutureIsToldThatAllIsLost) {
  for (const auto& [after, incarnation] :
       std::vector<std::pair<uint64_t, uint64_t>>{{5, kIncarnation + 1}, {9999, kIncarnation}}) {
    WatchHub::Reader reader = hub_.Open(Slots({1, 9}), after, incarnation);
    const auto message = Next(reader);
    EXPECT_EQ(message.previous(), 0);
    EXPECT_THAT(Show(message), ElementsAre("gap 1", "ended 9"));
    hub_.Close(reader);
  }
}

TEST_F(WatchHubTest, AReaderThatTheRingHasOvertakenGetsAGapOfExactlyItsSlots) {
  WatchHub::Reader reader = hub_.Open(Slots({1, 2}), 0, 0);
  const uint64_t first = Next(reader).sequence();
  for (uint64_t i = 0; i < 300; ++i) Change(1, 100 + i);
  const auto message = Next(reader);
  EXPECT_THAT(Show(message), ElementsAre("gap 1", "gap 2"));
  EXPECT_EQ(message.previous(), first);
  EXPECT_EQ(hub_.Stats().overruns, 1);
  Change(2, 1000);
  EXPECT_THAT(Show(Next(reader)), ElementsAre("2:k1000@1000"));
  hub_.Close(reader);
}

TEST_F(WatchHubTest, TheRingIsBoundedInEventsAndBytes) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  for (uint64_t i = 0; i < 1000; ++i) Change(1, 100 + i);
  EXPECT_LE(hub_.Stats().ring_events, 100);
  for (uint64_t i = 0; i < 200; ++i) {
    hub_.Changed(1, "task", std::string(1000, 'x'), Version{2000 + i, 1});
  }
  EXPECT_LE(hub_.Stats().ring_bytes, 64 << 10);
  hub_.Close(reader);
}

TEST_F(WatchHubTest, MessagesAreBoundedAndOnlyTheLastSaysHowFarItIsComplete) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  Next(reader);
  hub_.CaughtUp(absl::Milliseconds(1234));
  for (uint64_t i = 0; i < 90; ++i) {
    hub_.Changed(1, "task", std::string(100, static_cast<char>('a' + i % 20)),
                 Version{2000 + i, 1});
  }
  size_t events = 0;
  int messages = 0;
  for (bool complete = false; !complete; ++messages) {
    const auto message = Next(reader);
    EXPECT_LE(message.ByteSizeLong(), 1400);
    events += static_cast<size_t>(message.events_size());
    complete = message.complete_at_ms() != 0;
    if (complete) {
      EXPECT_EQ(message.complete_at_ms(), 1234);
    }
  }
  EXPECT_EQ(events, 90);
  EXPECT_GT(messages, 5);
  hub_.Close(reader);
}

TEST_F(WatchHubTest, WithoutAChangelogAMessageIsCompleteWhenItIsSent) {
  WatchHubOptions options = Options();
  options.own_writes_only = true;
  WatchHub hub(options, clock_);
  WatchHub::Reader reader = hub.Open(Slots({1}), 0, 0);
  std::string bytes;
  cache::v1::WatchResponse message;
  ASSERT_TRUE(hub.Read(&reader, /*alive=*/true, &bytes));
  ASSERT_TRUE(message.ParseFromString(bytes));
  EXPECT_EQ(message.complete_at_ms(), absl::ToInt64Milliseconds(clock_.Monotonic()));
  EXPECT_EQ(message.sent_at_ms(), message.complete_at_ms());
  hub.Close(reader);
}

TEST_F(WatchHubTest, SlotsThatComeAndGoAreGaps) {
  WatchHub::Reader reader = hub_.Open(Slots({1, 5}), 0, 0);
  EXPECT_THAT(Show(Next(reader)), ElementsAre("ended 5"));
  EXPECT_FALSE(hub_.Follows(5));
  hub_.SlotFollowed(5);
  EXPECT_TRUE(hub_.Follows(5));
  hub_.SlotGap(1);
  hub_.SlotGap(6);  // Not followed: nobody's business.
  hub_.SlotLost(1);
  EXPECT_FALSE(hub_.Follows(1));
  EXPECT_THAT(Show(Next(reader)), ElementsAre("gap 5", "gap 1", "ended 1"));
  hub_.AllGap();
  EXPECT_THAT(Show(Next(reader)), ElementsAre("gap 5"));
  hub_.Close(reader);
}

TEST_F(WatchHubTest, AFenceIsForEverybody) {
  WatchHub::Reader reader = hub_.Open(Slots({9}), 0, 0);
  Next(reader);
  hub_.Fenced("task", WatchHub::FenceKind::kTag, "project:7", Version{50, 1});
  hub_.Fenced("task", WatchHub::FenceKind::kPrefix, "user:", Version{51, 1});
  hub_.Fenced("other", WatchHub::FenceKind::kNamespace, "", Version{52, 1});
  const auto message = Next(reader);
  EXPECT_THAT(Show(message), ElementsAre("fence task", "fence task", "fence other"));
  EXPECT_EQ(message.events(0).fence().tag(), "project:7");
  EXPECT_EQ(message.events(1).fence().prefix(), "user:");
  EXPECT_EQ(message.events(2).fence().scope_case(), cache::v1::WatchFence::SCOPE_NOT_SET);
  EXPECT_EQ(message.events(2).version().hlc(), 52);
  hub_.Close(reader);
}

// Who has made a fence and cannot name what it covers waits until all is told that was done by
// then.
TEST_F(WatchHubTest, AfterAFenceReadersAreToldSoonHowFarAllIsTold) {
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  Next(reader);
  hub_.CaughtUp(clock_.Monotonic());
  EXPECT_FALSE(HasNext(reader));
  hub_.Fenced("task", WatchHub::FenceKind::kTag, "red", Version{10, 1});
  EXPECT_THAT(Show(Next(reader)), ElementsAre("fence task"));
  const absl::Duration fenced = clock_.Monotonic();
  std::vector<absl::Duration> told;
  for (absl::Duration past; past < absl::Seconds(2); past += absl::Milliseconds(10)) {
    clock_.Advance(absl::Milliseconds(10));
    hub_.CaughtUp(clock_.Monotonic());
    std::string bytes;
    if (!hub_.Read(&reader, /*alive=*/false, &bytes)) continue;
    cache::v1::WatchResponse message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    EXPECT_THAT(Show(message), IsEmpty());
    EXPECT_EQ(message.previous(), message.sequence());
    EXPECT_EQ(message.complete_at_ms(), absl::ToInt64Milliseconds(clock_.Monotonic()));
    told.push_back(clock_.Monotonic() - fenced);
  }
  EXPECT_THAT(told, ElementsAre(absl::Milliseconds(20), absl::Milliseconds(80),
                                absl::Milliseconds(260), absl::Milliseconds(800)));
  hub_.Close(reader);
}

TEST_F(WatchHubTest, NothingIsKeptWhenNobodyHasFollowedForARing) {
  Change(1, 10);
  EXPECT_EQ(hub_.Stats().ring_events, 0) << "nobody has ever followed";
  WatchHub::Reader reader = hub_.Open(Slots({1}), 0, 0);
  const uint64_t seen = Next(reader).sequence();
  hub_.Close(reader);
  for (uint64_t i = 0; i < 99; ++i) Change(1, 100 + i);
  EXPECT_GT(hub_.Stats().ring_events, 0) << "it may come back";
  for (uint64_t i = 0; i < 99; ++i) Change(1, 1000 + i);
  EXPECT_EQ(hub_.Stats().ring_events, 0);
  WatchHub::Reader again = hub_.Open(Slots({1}), seen, kIncarnation);
  EXPECT_THAT(Show(Next(again)), ElementsAre("gap 1"));
  Change(1, 2000);
  EXPECT_THAT(Show(Next(again)), ElementsAre("1:k2000@2000"));
  hub_.Close(again);
}

TEST_F(WatchHubTest, ReadersThatComeAndGoMissNothingThatNoGapNames) {
  const uint32_t seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::minstd_rand random(seed);
  for (int round = 0; round < 200; ++round) {
    WatchHub::Reader reader = hub_.Open(Slots({1, 2}), 0, 0);
    uint64_t sequence = Next(reader).sequence();
    std::set<uint64_t> missing;  // Versions of slot 1 that the reader does not know of.
    uint64_t hlc = 1'000'000ull * static_cast<uint64_t>(round + 1);
    for (int step = 0; step < 100; ++step) {
      const uint32_t what = random() % 10;
      if (what < 6) {
        const uint64_t burst = random() % 20 == 0 ? 150 : 1;
        for (uint64_t i = 0; i < burst; ++i) {
          const uint32_t slot = random() % 4;
          Change(slot, ++hlc);
          if (slot == 1) missing.insert(hlc);
        }
      } else if (what < 7) {
        hub_.Close(reader);
        reader = hub_.Open(Slots({1, 2}), sequence, kIncarnation);
      } else {
        const auto message = Next(reader);
        if (message.previous() != sequence) {
          ASSERT_EQ(message.previous(), 0);
        }
        sequence = message.sequence();
        for (const auto& event : message.events()) {
          if (event.has_gap()) {
            ASSERT_FALSE(event.gap().ended());
            if (event.slot() == 1) missing.clear();
          } else if (event.slot() == 1) {
            missing.erase(event.version().hlc());
          }
        }
      }
    }
    for (bool more = true; more;) {
      const auto message = Next(reader);
      more = message.events_size() > 0;
      for (const auto& event : message.events()) {
        if (event.slot() != 1) continue;
        if (event.has_gap()) missing.clear();
        missing.erase(event.version().hlc());
      }
    }
    ASSERT_THAT(missing, IsEmpty());
    hub_.Close(reader);
  }
}

}  // namespace
}  // namespace meridian
