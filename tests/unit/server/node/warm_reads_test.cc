// Reads that warm: what they bring is followed, and they count as nobody's.

#include <memory>
#include <string>

#include "server/node/limits.h"
#include "server/node/read_path.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

class WarmReadsTest : public NodeFixture {
 protected:
  static ReadOptions Warming() {
    ReadOptions options;
    options.omit_value = true;
    options.warm_source = "rule";
    return options;
  }
  static WarmedCounts CountsAt(TestNode& node) {
    const auto stats = node.engine().WarmedStats();
    return stats.empty() ? WarmedCounts{} : stats[0].counts;
  }
  static uint64_t Requests(TestNode& node) {
    const NamespaceCounters& counters = node.context().namespaces.Resolve(kSpace)->counters;
    return counters.l1_hits + counters.l2_hits + counters.misses + counters.errors;
  }
};

TEST_F(WarmReadsTest, WhatAWarmReadBringsIsFollowedAtTheOwner) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(key, "v"));
  node(1).engine().Clear();
  EXPECT_EQ(Show(ReadOne(node(0), key, Warming())), "v@L2");
  EXPECT_EQ(CountsAt(node(1)), (WarmedCounts{1, 0, 0, 0}));
  EXPECT_EQ(CountsAt(node(0)), WarmedCounts{});
  EXPECT_EQ(Show(ReadOne(node(0), key, Warming())), "v@L1") << "nothing is brought twice";
  EXPECT_EQ(CountsAt(node(1)), (WarmedCounts{1, 0, 0, 0}));
  EXPECT_EQ(Show(ReadOne(node(0), key)), "v@L1");
  EXPECT_EQ(CountsAt(node(1)), (WarmedCounts{1, 1, 0, 0}));
}

TEST_F(WarmReadsTest, AWarmReadCountsAsNoHitAndNoMiss) {
  StartNodes(1);
  const std::string key = KeyOwnedBy(0);
  WriteOne(node(0), SetOf(key, "v"));
  EXPECT_EQ(Show(ReadOne(node(0), key, Warming())), "v@L1");
  node(0).engine().Clear();
  EXPECT_EQ(Show(ReadOne(node(0), key, Warming())), "v@L2");
  EXPECT_EQ(Show(ReadOne(node(0), "absent", Warming())), "miss");
  EXPECT_EQ(Requests(node(0)), 0u);
  ReadOne(node(0), key);
  ReadOne(node(0), "absent");
  EXPECT_EQ(Requests(node(0)), 2u);
}

TEST_F(WarmReadsTest, WhatSomebodyWaitsForIsNotWarmed) {
  StartNodes(1);
  const std::string key = KeyOwnedBy(0);
  WriteOne(node(0), SetOf(key, "v"));
  for (const bool warming_first : {true, false}) {
    node(0).engine().Clear();
    store_.HoldReplies();
    const auto first =
        BeginRead({key}, warming_first ? Warming() : ReadOptions(), 0, absl::Seconds(1));
    const auto second =
        BeginRead({key}, warming_first ? ReadOptions() : Warming(), 0, absl::Seconds(1));
    store_.ReleaseReplies();
    executor_.RunDue();
    EXPECT_THAT(first->shown, testing::ElementsAre("v@L2"));
    EXPECT_THAT(second->shown, testing::ElementsAre("v@L2"));
  }
  EXPECT_EQ(CountsAt(node(0)), WarmedCounts{});
}

TEST_F(WarmReadsTest, WhatL1DoesNotKeepIsNotWarmed) {
  StartNodes(1);
  const std::string key = KeyOwnedBy(0);
  WriteOne(node(0), SetOf(key, "v"));
  node(0).engine().Clear();
  FollowedSlots followed;  // None: nothing of L2 is kept.
  node(0).context().followed = &followed;
  EXPECT_EQ(Show(ReadOne(node(0), key, Warming())), "v@L2");
  EXPECT_EQ(CountsAt(node(0)), WarmedCounts{});
}

TEST(WarmOptionsTest, WhatIsWrongIsRefusedWithItsField) {
  cache::v1::ReadOptions options;
  EXPECT_FALSE(limits::CheckOptions(options).has_value());
  options.set_warm_source("rule");
  EXPECT_FALSE(limits::CheckOptions(options).has_value());
  options.set_want_lease(true);
  EXPECT_EQ(limits::CheckOptions(options)->details.field, "options.want_lease");
  options.set_want_lease(false);
  options.set_warm_source(std::string(65, 'a'));
  EXPECT_EQ(limits::CheckOptions(options)->details.field, "options.warm_source");
  options.set_warm_source("Rule one");
  EXPECT_EQ(limits::CheckOptions(options)->reason, reason::kFieldInvalid);
  cache::v1::RequestHeader header;
  header.set_session(std::string(64, 's'));
  EXPECT_FALSE(limits::CheckHeader(header).has_value());
  header.set_session(std::string(65, 's'));
  EXPECT_EQ(limits::CheckHeader(header)->details.field, "header.session");
}

}  // namespace
}  // namespace meridian
