// A node without Redis and without others is a whole cache, in memory, and says what it lacks.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/cache/v1/cache_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/stub.h"
#include "tests/support/test_node.h"

namespace meridian {
namespace {

using calls::GetAll;
using calls::kSpace;
using calls::SetOne;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(L1OnlyTest, ANodeAloneIsACacheAndSaysWhatItLacks) {
  absl::StatusOr<std::unique_ptr<TestNode>> node = TestNode::Start("alone");
  ASSERT_TRUE(node.ok()) << std::string(node.status().message());
  const auto stub = NewStub<cache::v1::CacheService>((*node)->data());
  cache::v1::SetEntry entry;
  entry.set_key("k");
  entry.set_value("1");
  entry.set_if_absent(true);
  const cache::v1::WriteResult first = SetOne(*stub, entry);
  EXPECT_EQ(first.status(), cache::v1::ENTRY_STATUS_OK);
  const cache::v1::WriteResult again = SetOne(*stub, entry);
  EXPECT_EQ(again.status(), cache::v1::ENTRY_STATUS_CONFLICT);
  EXPECT_EQ(again.version().hlc(), first.version().hlc());

  entry.set_if_absent(false);
  entry.set_value("2");
  *entry.mutable_expected_version() = first.version();
  EXPECT_EQ(SetOne(*stub, entry).status(), cache::v1::ENTRY_STATUS_OK);
  EXPECT_EQ(SetOne(*stub, entry).status(), cache::v1::ENTRY_STATUS_CONFLICT);
  const cache::v1::BatchGetResponse read = GetAll(*stub, {"k", "nobody"});
  EXPECT_EQ(read.entries(0).value(), "2");
  EXPECT_EQ(read.entries(0).source(), cache::v1::SOURCE_L1);
  EXPECT_EQ(read.entries(1).status(), cache::v1::ENTRY_STATUS_MISS);

  grpc::ClientContext invalidate_context;
  cache::v1::InvalidateRequest invalidate;
  invalidate.set_namespace_(kSpace);
  invalidate.set_key("k");
  cache::v1::InvalidateResponse invalidated;
  ASSERT_TRUE(stub->Invalidate(&invalidate_context, invalidate, &invalidated).ok());
  EXPECT_EQ(GetAll(*stub, {"k"}).entries(0).status(), cache::v1::ENTRY_STATUS_MISS);

  const auto admin = NewStub<admin::v1::AdminService>((*node)->admin());
  grpc::ClientContext status_context;
  admin::v1::GetStatusResponse status;
  ASSERT_TRUE(admin->GetStatus(&status_context, admin::v1::GetStatusRequest(), &status).ok());
  EXPECT_EQ(status.owned_slots(), 1024u);
  EXPECT_THAT(status.fallback_chain(), ElementsAre("l1"));
  EXPECT_THAT(status.warnings(), testing::Contains(HasSubstr("Redis")))
      << "nothing says that it all goes with the process";
}

}  // namespace
}  // namespace meridian
