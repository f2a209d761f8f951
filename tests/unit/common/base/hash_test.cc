#include "common/base/hash.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace meridian {
namespace {

// The promise itself, without its shortcuts.
uint32_t SlowSlotOf(std::string_view name_space, std::string_view key) {
  std::string bytes(name_space);
  bytes.push_back('\0');
  bytes.append(RoutingPart(key));
  return static_cast<uint32_t>(Hash64(bytes) % 1024);
}

// From the reference implementation of XXH3; the rest is frozen as it was on the first day.
TEST(HashTest, GoldenHashes) {
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash64("meridian"), 0x1366290fde697605u);
  EXPECT_EQ(Hash64("meridian", 42), 0x5f8f40fc2399b203u);
  EXPECT_EQ(Hash64("meridian", 0), Hash64("meridian"));
}

TEST(HashTest, GoldenSlots) {
  const struct {
    std::string_view name_space;
    std::string_view key;
    uint32_t slot;
  } kGolden[] = {
      {"task", "42", 294},
      {"task", "7", 171},
      {"task", "user:{7}:profile", 171},
      {"session", "user:{7}:cart", 734},
      {"a", "", 475},
      {"recommend", "{}x", 349},
      {"recommend", "a{b", 985},
      {"task", "a}{b}", 81},
      {"b", std::string_view("\0\xff\n{\0}", 6), 843},
  };
  for (const auto& golden : kGolden) {
    EXPECT_EQ(SlotOf(golden.name_space, golden.key), golden.slot)
        << golden.name_space << " " << golden.key;
  }
}

TEST(HashTest, KeysOfAnyLengthHaveTheSlotOfTheirBytes) {
  for (const size_t size : {0u, 1u, 63u, 64u, 1019u, 1020u, 1084u, 1085u, 1086u, 5000u, 100'000u}) {
    const std::string key(size, 'k');
    EXPECT_EQ(SlotOf("task", key), SlowSlotOf("task", key)) << size;
    EXPECT_EQ(SlotOf(std::string(64, 'n'), key), SlowSlotOf(std::string(64, 'n'), key)) << size;
  }
}

TEST(HashTest, TheRoutingPartIsTheFirstFilledTag) {
  EXPECT_EQ(RoutingPart("plain"), "plain");
  EXPECT_EQ(RoutingPart(""), "");
  EXPECT_EQ(RoutingPart("a{b}c"), "b");
  EXPECT_EQ(RoutingPart("{b}{c}"), "b");
  EXPECT_EQ(RoutingPart("{{b}}"), "{b");
  EXPECT_EQ(RoutingPart("}{b}"), "b");
  EXPECT_EQ(RoutingPart("{}{b}"), "{}{b}");  // Empty: the whole key, as in Redis Cluster.
  EXPECT_EQ(RoutingPart("a{b"), "a{b");
  EXPECT_EQ(RoutingPart("{"), "{");
}

TEST(HashTest, ANamespaceIsNotAPrefixOfTheKey) {
  // Without the separator these would be equal.
  EXPECT_NE(SlotOf("ab", "c"), SlotOf("a", "bc"));
}

TEST(HashTest, SlotsAreUsedEvenly) {
  constexpr int kPerSlot = 200;
  std::vector<int> counts(kSlotCount);
  for (uint32_t i = 0; i < kSlotCount * kPerSlot; ++i) ++counts[SlotOf("task", std::to_string(i))];
  double chi_squared = 0;
  for (const int count : counts) {
    chi_squared += static_cast<double>((count - kPerSlot) * (count - kPerSlot)) / kPerSlot;
  }
  // 1023 degrees of freedom: mean 1023, standard deviation 45.
  EXPECT_LT(chi_squared, 1023 + 5 * 45);
  EXPECT_GT(chi_squared, 1023 - 5 * 45);
}

}  // namespace
}  // namespace meridian
