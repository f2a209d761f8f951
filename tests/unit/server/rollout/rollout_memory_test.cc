#include "server/rollout/rollout_memory.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

TEST(RolloutMemoryTest, WhatIsKeptIsReadBack) {
  RolloutMemory memory{.version = 7, .percent = 50, .watched = absl::Minutes(3), .base = {}};
  memory.base.latency_bounds = {0.001, 0.01};
  VersionReads& reads = memory.base.table[{"task", 6}];
  reads.hits = 900;
  reads.misses = 90;
  reads.errors = 10;
  reads.latency = {5, 6, 7};
  const auto read = DecodeMemory(EncodeMemory(memory));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->version, 7u);
  EXPECT_EQ(read->percent, 50u);
  EXPECT_EQ(read->watched, absl::Minutes(3));
  EXPECT_EQ(read->base.latency_bounds, memory.base.latency_bounds);
  const VersionReads back = read->base.Of("task", 6);
  EXPECT_EQ(back.hits, 900u);
  EXPECT_EQ(back.misses, 90u);
  EXPECT_EQ(back.errors, 10u);
  EXPECT_EQ(back.latency, reads.latency);
  EXPECT_EQ(read->base.table.size(), 1u);
}

TEST(RolloutMemoryTest, OtherBytesAreNone) {
  for (const char* bytes : {"", "7 50", "7 50\n", "7 fifty 3\n", "7 50 3 1\n", "7 50 3\n\x07zzz"}) {
    EXPECT_FALSE(DecodeMemory(bytes).has_value()) << bytes;
  }
  EXPECT_TRUE(DecodeMemory("7 50 3\n").has_value());
}

}  // namespace
}  // namespace meridian
