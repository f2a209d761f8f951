#include "client/internal/batch_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

RoutingTable TableOf(int nodes) {
  std::vector<Member> members;
  for (int i = 0; i < nodes; ++i) {
    Member member;
    member.id = absl::StrCat("n", i);
    member.data_address = absl::StrCat("n", i, ":1");
    members.push_back(std::move(member));
  }
  absl::StatusOr<Topology> topology = Topology::Create(1, "us", std::move(members));
  EXPECT_TRUE(topology.ok()) << topology.status();
  return RoutingTable(*topology, {"t:1", "u:1"});
}

TEST(BatchSplitterTest, EveryItemIsInOnePartOfItsOwnerInOrder) {
  const RoutingTable table = TableOf(3);
  BatchSplitter splitter(table, "ns", 0, {.max_entries = 40});
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(absl::StrCat("key:", i % 700));
  for (const std::string& key : keys) splitter.Add(key, 10);

  std::vector<int> seen(keys.size(), 0);
  for (const BatchPart& part : splitter.Take()) {
    EXPECT_LE(part.positions.size(), 40u);
    EXPECT_EQ(part.bytes, part.positions.size() * 10);
    EXPECT_TRUE(std::is_sorted(part.positions.begin(), part.positions.end()));
    for (const uint32_t position : part.positions) {
      ++seen[position];
      EXPECT_EQ(part.node, table.OwnerOf(SlotOf("ns", keys[position])));
    }
  }
  EXPECT_THAT(seen, ::testing::Each(1));
}

TEST(BatchSplitterTest, WhatIsSentToACertainNodeJoinsItsPart) {
  const RoutingTable table = TableOf(3);
  BatchSplitter splitter(table, "ns", 0);
  const uint16_t owner = table.OwnerOf(SlotOf("ns", "a"));
  const auto other = static_cast<uint16_t>((owner + 1) % 3);
  splitter.Add("a", 10);
  splitter.AddTo(other, 20);
  splitter.AddTo(owner, 30);
  const std::vector<BatchPart> parts = splitter.Take();
  ASSERT_THAT(parts, SizeIs(2));
  EXPECT_EQ(parts[0].node, owner);
  EXPECT_THAT(parts[0].positions, ElementsAre(0, 2));
  EXPECT_EQ(parts[0].bytes, 40u);
  EXPECT_EQ(parts[1].node, other);
  EXPECT_THAT(parts[1].positions, ElementsAre(1));
}

TEST(BatchSplitterTest, OneOwnerIsOnePart) {
  const RoutingTable table = TableOf(1);
  BatchSplitter splitter(table, "ns", 0);
  for (int i = 0; i < 1000; ++i) splitter.Add(absl::StrCat(i), 1);
  EXPECT_THAT(splitter.Take(), SizeIs(1));
}

TEST(BatchSplitterTest, WithoutOwnersEverythingGoesToTheFallbackNode) {
  const RoutingTable table(Topology(), {"t:1", "u:1"});
  BatchSplitter splitter(table, "ns", 1, {.max_entries = 2});
  for (int i = 0; i < 5; ++i) splitter.Add(absl::StrCat(i), 1);
  const std::vector<BatchPart> parts = splitter.Take();
  ASSERT_THAT(parts, SizeIs(3));
  for (const BatchPart& part : parts) EXPECT_EQ(part.node, 1);
  EXPECT_THAT(parts[0].positions, ElementsAre(0, 1));
  EXPECT_THAT(parts[2].positions, ElementsAre(4));
}

TEST(BatchSplitterTest, PartsStayBelowTheBytesThatANodeTakes) {
  const RoutingTable table = TableOf(1);
  BatchSplitter splitter(table, "ns", 0, {.max_bytes = 100});
  for (const size_t bytes : {60, 40, 1, 500, 99, 1}) splitter.Add("k", bytes);
  const std::vector<BatchPart> parts = splitter.Take();
  ASSERT_THAT(parts, SizeIs(4));
  EXPECT_THAT(parts[0].positions, ElementsAre(0, 1));
  EXPECT_THAT(parts[1].positions, ElementsAre(2));
  EXPECT_THAT(parts[2].positions, ElementsAre(3)) << "too large for any part: alone";
  EXPECT_THAT(parts[3].positions, ElementsAre(4, 5));
}

}  // namespace
}  // namespace meridian
