#include "tests/support/fault_proxy/faults.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

Faults Parsed(std::string_view text, const Faults& before = {}) {
  const absl::StatusOr<Faults> faults = ParseFaults(text, before);
  EXPECT_TRUE(faults.ok()) << faults.status();
  return faults.value_or(Faults{});
}

TEST(FaultsTest, AKeyWithoutADirectionIsForBoth) {
  const Faults faults = Parsed("delay=40ms up.jitter=5ms down.rate=1MiB");
  EXPECT_EQ(faults.up.delay, absl::Milliseconds(40));
  EXPECT_EQ(faults.down.delay, absl::Milliseconds(40));
  EXPECT_EQ(faults.up.jitter, absl::Milliseconds(5));
  EXPECT_EQ(faults.down.jitter, absl::ZeroDuration());
  EXPECT_EQ(faults.up.bytes_per_second, 0u);
  EXPECT_EQ(faults.down.bytes_per_second, uint64_t{1} << 20);
}

TEST(FaultsTest, WordsChangeWhatTheyNameAndLeaveTheRest) {
  const Faults cut = Parsed("up.cut=on", Parsed("delay=10ms"));
  EXPECT_TRUE(cut.AnyCut());
  EXPECT_FALSE(cut.down.cut);
  EXPECT_EQ(cut.up.delay, absl::Milliseconds(10));
  EXPECT_FALSE(Parsed("cut=off", cut).AnyCut());
  EXPECT_EQ(Parsed("clear", cut), Faults{});
  EXPECT_EQ(Parsed("clear stall=on", cut).up.delay, absl::ZeroDuration());
}

TEST(FaultsTest, TheTextOfFaultsMakesTheSameFaults) {
  for (const char* text : {"", "delay=40ms", "up.delay=1s500ms down.jitter=2ms",
                           "rate=1000 stall=on refuse=on", "cut=on", "down.cut=on up.stall=on"}) {
    const Faults faults = Parsed(text);
    EXPECT_EQ(Parsed(FaultsText(faults)), faults) << text << " -> " << FaultsText(faults);
  }
  EXPECT_EQ(FaultsText(Parsed("delay=40ms")), "delay=40ms");
}

TEST(FaultsTest, AWrongWordIsNamed) {
  for (const char* word : {"delay", "delay=", "delay=-1ms", "delay=11m", "cut=yes", "rate=fast",
                           "loss=1", "sideways.delay=1ms", "up.refuse=on"}) {
    const absl::StatusOr<Faults> faults = ParseFaults(std::string("cut=on ") + word, {});
    ASSERT_FALSE(faults.ok()) << word;
    EXPECT_THAT(std::string(faults.status().message()), ::testing::StartsWith(word));
  }
}

}  // namespace
}  // namespace meridian
