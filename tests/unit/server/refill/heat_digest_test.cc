#include "server/refill/heat_digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"

namespace meridian {
namespace {

using testing::ElementsAre;

// Keys of one slot: the part in braces says which.
std::string KeyOf(int i) { return absl::StrCat("{s}:", i); }
const uint32_t kSlot = SlotOf("task", "{s}");

std::vector<std::string> Shown(const HeatDigest& digest) {
  std::vector<std::string> shown;
  for (size_t place = HeatDigest::First(); place != digest.End(); place = digest.Next(place)) {
    const HeatDigest::Item item = digest.At(place);
    shown.push_back(absl::StrCat(std::string(item.name_space), "/", std::string(item.key), "=",
                                 int{item.weight}));
  }
  return shown;
}

std::string ItemBytes(int weight, const std::string& name_space, const std::string& key) {
  std::string bytes;
  bytes.push_back(static_cast<char>(weight));
  bytes.push_back(static_cast<char>(name_space.size()));
  bytes.push_back(static_cast<char>(key.size() & 0xff));
  bytes.push_back(static_cast<char>(key.size() >> 8));
  return bytes + name_space + key;
}

std::string WithHead(const std::string& items) { return std::string(1, 1) + items; }

TEST(HeatDigestTest, NamesTheHottestFirstAndComesBackFromItsBytes) {
  const HeatDigest digest =
      HeatDigest::Of({{"task", KeyOf(1), 5}, {"task", KeyOf(2), 63}, {"task", KeyOf(3), 0}});
  EXPECT_THAT(Shown(digest), ElementsAre("task/{s}:2=63", "task/{s}:1=5"));
  EXPECT_EQ(digest.weight(), 68u);
  EXPECT_EQ(digest.size(), 2u);
  const auto parsed = HeatDigest::Parse(digest.bytes(), kSlot);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(Shown(*parsed), Shown(digest));
  EXPECT_EQ(parsed->weight(), 68u);
}

// docs/wire.md has the layout: other versions read it.
TEST(HeatDigestTest, GoldenBytes) {
  EXPECT_EQ(HeatDigest().bytes(), std::string(1, 1));
  EXPECT_EQ(HeatDigest::Of({{"task", "{s}:1", 7}}).bytes(),
            std::string("\x01\x07\x04\x05\x00task{s}:1", 14));
}

TEST(HeatDigestTest, HasSoManyKeysAndBytesAtMost) {
  std::vector<HeatKey> many;
  for (int i = 0; i < 100; ++i) many.push_back({"task", KeyOf(i), static_cast<uint8_t>(1 + i / 2)});
  const HeatDigest digest = HeatDigest::Of(many);
  EXPECT_EQ(digest.size(), HeatDigest::kMaxKeys);
  EXPECT_EQ(digest.At(HeatDigest::First()).weight, 50);

  std::vector<HeatKey> large;
  for (int i = 0; i < 20; ++i) large.push_back({"task", KeyOf(i) + std::string(900, 'x'), 9});
  large.push_back({"task", KeyOf(99), 1});
  const HeatDigest bounded = HeatDigest::Of(large);
  EXPECT_LE(bounded.bytes().size(), HeatDigest::kMaxBytes);
  EXPECT_EQ(Shown(bounded).back(), "task/{s}:99=1") << "the small one still fits";
  EXPECT_TRUE(HeatDigest::Parse(bounded.bytes(), kSlot).has_value());
}

TEST(HeatDigestTest, WhatItDoesNotMakeItselfIsNoDigest) {
  const std::string good = ItemBytes(9, "task", KeyOf(1));
  ASSERT_TRUE(HeatDigest::Parse(WithHead(good), kSlot).has_value());
  EXPECT_FALSE(HeatDigest::Parse("", kSlot));
  EXPECT_FALSE(HeatDigest::Parse(std::string(1, 2) + good, kSlot)) << "another format";
  EXPECT_FALSE(HeatDigest::Parse(WithHead(good), (kSlot + 1) % kSlotCount)) << "another slot";
  EXPECT_FALSE(HeatDigest::Parse(WithHead(good + good), kSlot)) << "twice the same";
  EXPECT_FALSE(HeatDigest::Parse(WithHead(good + ItemBytes(10, "task", KeyOf(2))), kSlot))
      << "not hottest first";
  EXPECT_FALSE(HeatDigest::Parse(WithHead(ItemBytes(0, "task", KeyOf(1))), kSlot));
  EXPECT_FALSE(HeatDigest::Parse(WithHead(ItemBytes(64, "task", KeyOf(1))), kSlot));
  EXPECT_FALSE(HeatDigest::Parse(WithHead(ItemBytes(9, "TASK", KeyOf(1))), SlotOf("TASK", "{s}")));
  EXPECT_FALSE(
      HeatDigest::Parse(WithHead(ItemBytes(9, "_meridian", "{s}")), SlotOf("_meridian", "{s}")))
      << "of ours";
  EXPECT_FALSE(HeatDigest::Parse(WithHead(ItemBytes(9, "task", "")), SlotOf("task", "")));
  const std::string long_key = "{s}" + std::string(1022, 'x');
  EXPECT_FALSE(HeatDigest::Parse(WithHead(ItemBytes(9, "task", long_key)), kSlot));
  std::string many;
  for (int i = 0; i < 65; ++i) many += ItemBytes(9, "task", KeyOf(i));
  EXPECT_FALSE(HeatDigest::Parse(WithHead(many), kSlot));
  std::string large;
  for (int i = 0; i < 9; ++i) large += ItemBytes(9, "task", KeyOf(i) + std::string(1000, 'x'));
  EXPECT_FALSE(HeatDigest::Parse(WithHead(large), kSlot));
}

TEST(HeatDigestTest, ADigestThatWasCutIsNone) {
  const std::string bytes = WithHead(ItemBytes(9, "task", KeyOf(1)));
  for (size_t size = 2; size < bytes.size(); ++size) {
    EXPECT_FALSE(HeatDigest::Parse(bytes.substr(0, size), kSlot)) << size;
  }
}

TEST(HeatDigestTest, OverlapIsTheWeightThatBothSay) {
  const HeatDigest a = HeatDigest::Of({{"task", KeyOf(1), 30}, {"task", KeyOf(2), 10}});
  EXPECT_DOUBLE_EQ(HeatDigest::Overlap(a, a), 1);
  EXPECT_DOUBLE_EQ(HeatDigest::Overlap({}, {}), 1);
  EXPECT_DOUBLE_EQ(HeatDigest::Overlap(a, {}), 0);
  EXPECT_DOUBLE_EQ(HeatDigest::Overlap(a, HeatDigest::Of({{"task", KeyOf(1), 20}})), 0.5);
  EXPECT_DOUBLE_EQ(HeatDigest::Overlap(a, HeatDigest::Of({{"user", KeyOf(1), 40}})), 0);
}

}  // namespace
}  // namespace meridian
