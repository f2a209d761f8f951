// Reads that warm: what they bring is followed, and they count as nobody's.

#include <memory>
#include <string>

#include "server/node/limits.h"
#include "server/node/read_path.h"
#include "server/node/warm_source_names.h"
#include "tests/unit/server/node/node_fixture.h"
#include "tests/unit/server/node/origin_fixture.h"

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
  static ReadOptions Forced() {
    ReadOptions options = Warming();
    options.omit_value = false;
    options.force_refresh = true;
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

TEST_F(WarmReadsTest, WhoWarmsIsToldWhatTheOwnerDoesNotKeep) {
  StartNodes(2);
  const std::string key = KeyOwnedBy(1);
  WriteOne(node(0), SetOf(key, "v"));
  FollowedSlots followed;  // None: nothing of L2 is kept.
  node(1).context().followed = &followed;
  for (const int at : {0, 1}) {
    node(1).engine().Clear();
    EXPECT_TRUE(ReadOne(node(at), key, Warming()).not_kept) << at;
    EXPECT_TRUE(ReadOne(node(at), key, Forced()).not_kept) << at;
    EXPECT_FALSE(ReadOne(node(at), key).not_kept) << "it does not warm";
    EXPECT_FALSE(ReadOne(node(at), "absent", Warming()).not_kept) << at;
  }
  node(1).context().followed = nullptr;
  for (const int at : {0, 1}) {
    node(1).engine().Clear();
    EXPECT_FALSE(ReadOne(node(at), key, Warming()).not_kept) << at;
    EXPECT_FALSE(ReadOne(node(at), key, Warming()).not_kept) << "it was there";
  }
}

// A hot key that is read anew again and again stays in L1, for as long as L2 has it.
TEST_F(WarmReadsTest, AForcedReadKeepsInL1WhatL2StillHas) {
  PolicyTable policies;
  ASSERT_TRUE(
      policies.ReadText("p", "task: {l1_ttl: 6s, ttl_jitter: 0, promotion_misses: 3}").ok());
  StartNodes(1, false, policies);
  WriteOne(node(0), SetOf("long", "v", absl::Hours(1)));
  WriteOne(node(0), SetOf("short", "v", absl::Seconds(20)));
  for (int i = 0; i < 14; ++i) {  // 19.6 s.
    EXPECT_EQ(Show(ReadOne(node(0), "long")), "v@L1") << i;
    EXPECT_EQ(Show(ReadOne(node(0), "short")), "v@L1") << i;
    clock_.Advance(absl::Milliseconds(1400));
    EXPECT_EQ(Show(ReadOne(node(0), "long", Forced())), "v@L2");
    EXPECT_EQ(Show(ReadOne(node(0), "short", Forced())), "v@L2");
  }
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(Show(ReadOne(node(0), "long")), "v@L1");
  EXPECT_EQ(Show(ReadOne(node(0), "short")), "miss") << "it lives longer than in L2";
  // Nor longer than until it is deleted.
  WriteOne(node(0), InvalidateOf("long"));
  EXPECT_EQ(Show(ReadOne(node(0), "long", Forced())), "miss");
  EXPECT_EQ(Show(ReadOne(node(0), "long")), "miss");
}

class WarmOriginReadsTest : public OriginFixture {};

TEST_F(WarmOriginReadsTest, LoadsThatRenewAreFollowedToo) {
  Start(1);
  origin_.rows["k"] = "v";
  ReadThrough("k");
  ReadOptions forced = Force();
  forced.warm_source = "schedule";
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(absl::Seconds(1));
    ReadThrough("k", forced);
    EXPECT_THAT(ReadThrough("k"), testing::EndsWith("@L1"));
  }
  const auto counts = [&] { return node(0).engine().WarmedStats().at(0).counts; };
  EXPECT_EQ(counts(), (WarmedCounts{10, 0, 9, 0}));
  clock_.Advance(absl::Milliseconds(59'500));  // It would have ended half a second ago.
  EXPECT_THAT(ReadThrough("k"), testing::EndsWith("@L1"));
  EXPECT_EQ(counts(), (WarmedCounts{10, 1, 9, 0}));
}

TEST(WarmOptionsTest, WhatIsWrongIsRefusedWithItsField) {
  cache::v1::ReadOptions options;
  EXPECT_FALSE(limits::CheckOptions(options).has_value());
  options.set_warm_source("rule");
  EXPECT_FALSE(limits::CheckOptions(options).has_value());
  options.set_want_lease(true);
  EXPECT_EQ(limits::CheckOptions(options)->details.field, "options.want_lease");
  options.set_want_lease(false);
  for (const std::string_view known : kWarmSourceNames) {
    options.set_warm_source(std::string(known));
    EXPECT_FALSE(limits::CheckOptions(options).has_value()) << known;
  }
  // The books have few names: strangers' would take the place of those that there are.
  for (const char* unknown : {"ruler", "Rule", "rul", "other", "s1"}) {
    options.set_warm_source(unknown);
    const std::optional<Error> error = limits::CheckOptions(options);
    ASSERT_TRUE(error.has_value()) << unknown;
    EXPECT_EQ(error->reason, reason::kFieldInvalid);
    EXPECT_EQ(error->details.field, "options.warm_source");
    EXPECT_EQ(error->message, absl::StrCat("options.warm_source '", unknown,
                                           "' is none of fixed, manual, prediction, rule, "
                                           "schedule, startup"));
  }
  cache::v1::RequestHeader header;
  header.set_session(std::string(64, 's'));
  EXPECT_FALSE(limits::CheckHeader(header).has_value());
  header.set_session(std::string(65, 's'));
  EXPECT_EQ(limits::CheckHeader(header)->details.field, "header.session");
}

}  // namespace
}  // namespace meridian
