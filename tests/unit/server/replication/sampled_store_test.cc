#include "server/replication/sampled_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/node/record.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;

// A look may be due at once, after a slow answer: the writer's own memory must be right by then.
TEST(SampledStoreTest, AChangeIsToldWhenItsWriterHasHeardOfIt) {
  FakeClock clock;
  FakeExecutor executor{clock};
  FakeL2Store store{clock, executor};
  SampledStore sampled(store, /*one_in=*/1, clock);
  std::vector<std::string> order;
  sampled.SetListener([&](const CarriedOut&) { order.push_back("told"); });
  L2Write write;
  write.key = {1, "task", "k"};
  write.version = {100, 1};
  write.expires_at = clock.Now() + absl::Hours(1);
  write.retention = absl::Hours(1);
  Record record;
  record.version = write.version;
  record.expires_at = write.expires_at;
  record.value = "v";
  AppendRecord(record, &write.record);
  sampled.Apply({write}, clock.Now() + absl::Seconds(1),
                [&](const std::vector<L2WriteResult>&) { order.push_back("answered"); });
  executor.RunDue();
  EXPECT_THAT(order, ElementsAre("answered", "told"));
}

}  // namespace
}  // namespace meridian
