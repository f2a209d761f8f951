// What people ask a Warmer for: deadlines, keys of any bytes, and what is refused.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::StartsWith;

class WarmerRequestsTest : public WarmerTest {
 protected:
  static WarmRequest Of(std::vector<std::string> keys) {
    WarmRequest request;
    request.name_space = "task";
    request.keys = std::move(keys);
    return request;
  }
  static WarmRequest OfLiterals(std::vector<std::string> keys) {
    WarmRequest request = Of({});
    request.literal_keys = std::move(keys);
    return request;
  }
  static std::string ErrorOf(Process& process, const WarmRequest& request) {
    return std::string(process.Ask(request).status().message());
  }
};

TEST_F(WarmerRequestsTest, AJobEndsAtItsOwnDeadlineAndSaysWhatWasLeft) {
  Process& leader = NewLeader();
  WarmRequest request = Of({"key:{1..100000}"});
  request.deadline = absl::Seconds(5);
  const absl::StatusOr<WarmJob> job = leader.Ask(request);
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->deadline, clock_.Now() + absl::Seconds(5));
  EXPECT_EQ(leader.warmer.WarningOf(*job),
            "100000 keys take 1m39s or more at 1000 keys a second, and the job gives up in 5s");
  RunFor(absl::Seconds(7), {&leader});
  const WarmJob ended = leader.Job(job->id);
  EXPECT_EQ(ended.state, WarmJobState::kFailed);
  EXPECT_THAT(ended.error,
              AllOf(StartsWith("DEADLINE_EXCEEDED: "),
                    HasSubstr(absl::StrCat(100'000 - ended.next_key, " keys were left"))));
}

TEST_F(WarmerRequestsTest, TheDeadlineIsThatOfTheRequestOrAsConfigured) {
  options_.job_deadline = absl::Minutes(20);
  AddSchedule("cron: '0 0 1 1 *', deadline: 5m");
  Process& leader = NewLeader();
  const absl::StatusOr<WarmJob> job = leader.Ask(Of({"a"}));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->deadline, clock_.Now() + absl::Minutes(20));
  EXPECT_EQ(leader.warmer.WarningOf(*job), "");
  WarmRequest scheduled;
  scheduled.schedule = "tick";
  EXPECT_EQ(leader.Ask(scheduled)->deadline, clock_.Now() + absl::Minutes(5));
  RunFor(absl::Seconds(1), {&leader});
  scheduled.deadline = absl::Hours(2);
  EXPECT_EQ(leader.Ask(scheduled)->deadline, clock_.Now() + absl::Hours(2));
}

TEST_F(WarmerRequestsTest, TheWarningKnowsTheBudgets) {
  ASSERT_TRUE(settings_
                  .ReadFile("f.yaml",
                            "budgets: {origins: {o: {keys_per_second: 0.5, namespaces: "
                            "[task]}}}")
                  .ok());
  Process& leader = NewLeader();
  WarmRequest request = Of({"key:{1..100}"});
  request.deadline = absl::Minutes(3);
  EXPECT_THAT(leader.warmer.WarningOf(*leader.Ask(request)),
              StartsWith("100 keys take 3m18s or more at 0.5 keys a second"));
}

TEST_F(WarmerRequestsTest, DeadlinesAreOneSecondToThirtyDays) {
  Process& leader = NewLeader();
  WarmRequest request = Of({"a"});
  for (const absl::Duration bad :
       {absl::Milliseconds(999), absl::Hours(24 * 30) + absl::Milliseconds(1)}) {
    request.deadline = bad;
    EXPECT_EQ(ErrorOf(leader, request), "FIELD_INVALID: deadline_ms: is not from 1s to 30d");
  }
  EXPECT_TRUE(leader.AllJobs().empty());
}

TEST_F(WarmerRequestsTest, LiteralKeysAreTakenAsTheyAreAlsoByTheNextLeader) {
  Process& first = NewLeader();
  first.reader.Hold();
  const std::vector<std::string> keys = {"\xff\x01", "{1..3}", "open{"};
  const absl::StatusOr<WarmJob> job = first.Ask(OfLiterals(keys));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->total_keys, 3u);
  first.Die();
  Process& second = NewLeader();
  RunFor(absl::Seconds(1), {&second});
  EXPECT_THAT(second.reader.warmed(), ElementsAre(Key("open{"), Key("{1..3}"), Key("\xff\x01")));
}

TEST_F(WarmerRequestsTest, BadLiteralKeysAreRefused) {
  Process& leader = NewLeader();
  EXPECT_THAT(ErrorOf(leader, OfLiterals({"a", ""})), StartsWith("FIELD_INVALID: literal_keys[1]"));
  WarmRequest both = OfLiterals({"a"});
  both.keys = {"b"};
  EXPECT_THAT(ErrorOf(leader, both), StartsWith("FIELD_INVALID: literal_keys: "));
  const std::vector<std::string> many(300, std::string(1000, 'k'));
  EXPECT_THAT(ErrorOf(leader, OfLiterals(many)), StartsWith("FIELD_INVALID: literal_keys: "));
}

TEST_F(WarmerRequestsTest, WhatOwnersDoNotKeepIsNotWarmed) {
  Process& leader = NewLeader();
  leader.reader.MakeUnkept("key:3");
  leader.reader.MakeUnkept("key:5");
  leader.reader.MakeAbsent("key:7");
  const std::string id = leader.Run({"key:{1..10}"})->id;
  RunFor(absl::Seconds(1), {&leader});
  const WarmJob job = leader.Job(id);
  EXPECT_EQ(job.state, WarmJobState::kDone);
  EXPECT_EQ(job.warmed_keys, 7u);
  EXPECT_EQ(job.unkept_keys, 2u);
  EXPECT_EQ(job.absent_keys, 1u);
  EXPECT_EQ(job.error, "nobody has 1 of the keys; the memory of their owners did not keep 2");
  leader.Die();
  EXPECT_EQ(NewLeader().Job(id).unkept_keys, 2u);
}

TEST_F(WarmerRequestsTest, WhatIsTheNodesOwnIsNotWarmed) {
  Process& leader = NewLeader();
  for (const char* name : {"_meridian", "_meridian.x"}) {
    WarmRequest request = Of({"a"});
    request.name_space = name;
    EXPECT_THAT(ErrorOf(leader, request), StartsWith("NAMESPACE_RESERVED: ")) << name;
  }
  EXPECT_TRUE(leader.Run({"a"}, 0, "_meridians").ok());
}

}  // namespace
}  // namespace meridian
