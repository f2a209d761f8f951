#include "common/base/number_option.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

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

TEST(NumberOptionTest, ASizeHasAUnitAndBecomesItsNumber) {
  const OptionRewrite rewrite = ByteSize(1, uint64_t{1} << 40);
  for (const auto& [text, bytes] : {std::pair{"4096", "4096"},
                                    {"64MiB", "67108864"},
                                    {"2GiB", "2147483648"},
                                    {"3KB", "3000"},
                                    {"7B", "7"}}) {
    std::string option = text;
    EXPECT_EQ(rewrite(option), "") << text;
    EXPECT_EQ(option, bytes);
  }
  for (const char* text : {"", "MiB", "-1", "1.5GiB", "2 GiB", "2gib", "64M", "64MiBs",
                           "99999999999999999999", "99999999999GiB"}) {
    std::string option = text;
    EXPECT_THAT(rewrite(option), testing::HasSubstr("is not a size such as")) << text;
    EXPECT_EQ(option, text);
  }
  for (std::string option : {"0", "2000GiB"}) {
    EXPECT_THAT(rewrite(option), testing::HasSubstr("is not from 1 to 1099511627776 bytes"));
  }
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
