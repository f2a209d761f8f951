#include "common/base/strings.h"

#include <string>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(StringsTest, QuotedKeysArePrintableAndShort) {
  EXPECT_EQ(QuoteKey("user:7"), "'user:7'");
  EXPECT_EQ(QuoteKey(""), "''");
  EXPECT_EQ(QuoteKey("it's"), "'it\\'s'");
  EXPECT_EQ(QuoteKey(std::string("a\0b\n\x1b[31m", 9)), "'a\\x00\\x62\\n\\x1b[31m'");
  EXPECT_EQ(QuoteKey(std::string(64, 'k')), "'" + std::string(64, 'k') + "'");
  EXPECT_EQ(QuoteKey(std::string(65, 'k')), "'" + std::string(64, 'k') + "...'");
  for (const char c : QuoteKey(std::string(1024, '\xff'))) EXPECT_TRUE(c >= ' ' && c <= '~');
}

TEST(StringsTest, TheBridgeKeepsEveryByte) {
  const std::string_view text("a\0b", 3);
  EXPECT_EQ(ToStd(ToAbsl(text)), text);
  EXPECT_EQ(ToAbsl(text).data(), text.data());
}

absl::StatusOr<int> Half(int number) {
  if (number % 2 != 0) return absl::InvalidArgumentError("odd");
  return number / 2;
}

absl::StatusOr<int> Quarter(int number) {
  ASSIGN_OR_RETURN(const int half, Half(number));
  RETURN_IF_ERROR(Half(half).status());
  return Half(half);
}

TEST(StatusMacrosTest, TheFirstErrorIsReturned) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(5).status().message(), "odd");
}

}  // namespace
}  // namespace meridian
