// Which stubs are kept. No server is needed: a channel that nobody calls on connects to nobody.

#include "common/rpc/stub_pool.h"

#include <gtest/gtest.h>

#include <memory>

#include "meridian/cache/v1/cache_service.grpc.pb.h"

namespace meridian {
namespace {

using Pool = StubPool<cache::v1::CacheService>;

TEST(StubPoolTest, AnAddressHasOneStub) {
  Pool pool;
  const std::shared_ptr<Pool::Stub> a = pool.StubFor("127.0.0.1:1");
  EXPECT_EQ(pool.StubFor("127.0.0.1:1"), a);
  EXPECT_NE(pool.StubFor("127.0.0.1:2"), a);
}

TEST(StubPoolTest, WhatIsNotNamedGoesWhenNobodyHoldsIt) {
  Pool pool;
  std::shared_ptr<Pool::Stub> held = pool.StubFor("127.0.0.1:1");
  const std::weak_ptr<Pool::Stub> in_use = held;
  const std::weak_ptr<Pool::Stub> idle = pool.StubFor("127.0.0.1:2");
  const std::weak_ptr<Pool::Stub> named = pool.StubFor("127.0.0.1:3");
  pool.KeepOnly({"127.0.0.1:3"});
  EXPECT_FALSE(in_use.expired());
  EXPECT_TRUE(idle.expired());
  EXPECT_FALSE(named.expired());
  held.reset();
  EXPECT_FALSE(in_use.expired()) << "it would end on the thread of its last user";
  pool.KeepOnly({"127.0.0.1:3"});
  EXPECT_TRUE(in_use.expired());
}

}  // namespace
}  // namespace meridian
