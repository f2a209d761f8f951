#include "common/base/number_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace meridian {
namespace {

TEST(NumberOptionTest, AWholeNumberIsInItsRangeAndNothingElse) {
  const OptionCheck check = WholeNumber(1, 1000);
  for (const char* text : {"1", "20", "1000"}) EXPECT_EQ(check(text), "") << text;
  for (const char* text : {"", "0", "1001", "-1", "+1", " 1", "1 ", "010", "0x10", "1e2", "1.0",
                           "nan", "99999999999999999999"}) {
    EXPECT_NE(check(text), "") << text;
  }
  EXPECT_EQ(check("-1"), "'-1' is not a whole number from 1 to 1000");
  EXPECT_EQ(WholeNumber(0, 5)("0"), "");
  const OptionCheck any = WholeNumber(0, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(any("18446744073709551615"), "");
  EXPECT_NE(any("18446744073709551616"), "");
}

TEST(NumberOptionTest, ANumberIsFiniteAndInItsRange) {
  const OptionCheck check = FiniteNumber(0.1, 100);
  for (const char* text : {"0.1", "3", "1e2", "99.5"}) EXPECT_EQ(check(text), "") << text;
  for (const char* text : {"", "nan", "NaN", "-nan", "inf", "-inf", "infinity", "0", "100.1", "-3",
                           "3h", "0x1p3", "1e999"}) {
    EXPECT_NE(check(text), "") << text;
  }
  EXPECT_EQ(check("nan"), "'nan' is not a number from 0.1 to 100");
}

}  // namespace
}  // namespace meridian
