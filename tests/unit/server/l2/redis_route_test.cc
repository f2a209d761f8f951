#include "server/l2/redis_route.h"

#include "gtest/gtest.h"

namespace meridian {
namespace {

TEST(RedisRouteTest, WhatAReplicaAnsweredIsMarkedAndAnErrorStaysOne) {
  RedisReplies replies(2);
  replies[0] = Reply();
  replies[1] = absl::UnavailableError("lost");
  MarkFromReplica(&replies);
  ASSERT_TRUE(replies[0].ok());
  EXPECT_TRUE(replies[0]->from_replica);
  EXPECT_EQ(replies[1].status().message(), "lost");
}

}  // namespace
}  // namespace meridian
