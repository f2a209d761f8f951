#include "server/figures/count_history.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace meridian {
namespace {

// Counts how often it is copied.
struct Counted {
  Counted() = default;
  explicit Counted(uint64_t value) : small(value), large(value) {}
  Counted(const Counted& other) : small(other.small), large(other.large) { ++copies; }
  Counted(Counted&&) = default;
  Counted& operator=(const Counted&) = delete;
  Counted& operator-=(const Counted& earlier) {
    small -= earlier.small;
    large -= earlier.large;
    return *this;
  }

  uint64_t small = 0;
  uint64_t large = 0;
  static inline int copies = 0;
};

CountHistory<Counted> Minutes() {
  CountHistory<Counted> history;
  for (uint64_t second = 0; second <= 600; ++second) {
    history.Add(Counted(second * second), absl::Seconds(second));
  }
  Counted::copies = 0;
  return history;
}

TEST(CountHistoryTest, APartOfADifferenceIsThatOfTheWholeAndCopiesNothingElse) {
  const CountHistory<Counted> history = Minutes();
  for (const int seconds : {0, 5, 60, 300, 1000}) {
    const auto span = history.Over(absl::Seconds(seconds), absl::Seconds(seconds / 2));
    const uint64_t part = span.Of(&Counted::small);
    EXPECT_EQ(Counted::copies, 0);
    const auto whole = history.Between(absl::Seconds(seconds), absl::Seconds(seconds / 2));
    EXPECT_EQ(part, whole.counts.large) << seconds;
    EXPECT_EQ(span.time, whole.time) << seconds;
    Counted::copies = 0;
  }
}

TEST(CountHistoryTest, OfNothingTheDifferenceIsNothing) {
  const CountHistory<Counted> history;
  EXPECT_EQ(history.Over(absl::Minutes(1)).Of(&Counted::small), 0u);
  EXPECT_EQ(history.Over(absl::Minutes(1)).time, absl::ZeroDuration());
  EXPECT_EQ(history.Last(absl::Minutes(1)).counts.large, 0u);
}

TEST(CountHistoryTest, ASpanOutlivesWhatTheHistoryForgets) {
  CountHistory<Counted> history = Minutes();
  const auto span = history.Over(absl::Seconds(600));
  for (int second = 601; second <= 3600; ++second) {
    history.Add(Counted(0), absl::Seconds(second));
  }
  EXPECT_EQ(span.Of(&Counted::small), 600u * 600u);
}

}  // namespace
}  // namespace meridian
