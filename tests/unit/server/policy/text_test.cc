#include "server/policy/text.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

TEST(TextTest, BytesHaveUnits) {
  EXPECT_EQ(*ParseBytes("0"), 0);
  EXPECT_EQ(*ParseBytes("4096"), 4096);
  EXPECT_EQ(*ParseBytes("64MiB"), 64ull << 20);
  EXPECT_EQ(*ParseBytes("2GiB"), 2ull << 30);
  EXPECT_EQ(*ParseBytes("3KB"), 3000);
  for (const char* bad : {"", "MiB", "-1", "1.5GiB", "64XB", "64 MiB", "18446744073709551616",
                          "99999999999999999GiB"}) {
    EXPECT_FALSE(ParseBytes(bad).ok()) << bad;
  }
}

TEST(TextTest, DurationsAddUp) {
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("7d"), absl::Hours(168));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
  for (const char* bad : {"", "5", "s", "-5s", "5 s", "1.5s", "5x", "99999999999999999999s", "5sm"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(TextTest, AddressesNeedAHostAndAPort) {
  for (const char* good : {"127.0.0.1:7400", "localhost:0", "[::1]:65535", "a.b-c:1"}) {
    EXPECT_TRUE(CheckAddress(good).ok()) << good;
  }
  for (const char* bad : {"", "7400", ":7400", "host:", "host:65536", "host:-1", "::1:7400", "h:7x"}) {
    EXPECT_FALSE(CheckAddress(bad).ok()) << bad;
  }
  EXPECT_TRUE(IsLoopback("127.0.0.1:1"));
  EXPECT_TRUE(IsLoopback("[::1]:1"));
  EXPECT_FALSE(IsLoopback("0.0.0.0:1"));
  EXPECT_FALSE(IsLoopback("128.0.0.1:1"));
}

TEST(TextTest, NamesAreLowerCase) {
  EXPECT_TRUE(IsName("us-east.1_a"));
  EXPECT_TRUE(IsName(std::string(64, 'a')));
  for (const std::string& bad : {std::string(), std::string("US"), std::string(65, 'a'),
                                 std::string("a b"), std::string("a/b"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(IsName(bad)) << bad;
    EXPECT_EQ(CheckName(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(CheckName("us").ok());
  EXPECT_EQ(CheckName("US\n").message(), "'US\\n' is not [a-z0-9_.-]{1,64}");
}

}  // namespace
}  // namespace meridian
