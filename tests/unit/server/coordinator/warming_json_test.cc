#include "server/coordinator/warming_json.h"

#include <gtest/gtest.h>

#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

class WarmingJsonTest : public WarmerTest {
 protected:
  static admin::v1::GetFiguresResponse Answer(uint64_t warmed) {
    admin::v1::GetFiguresResponse answer;
    admin::v1::WarmedFigures* row = answer.add_warmed();
    row->set_source("schedule");
    row->set_namespace_("task");
    row->set_warmed_entries(warmed);
    row->set_used_entries(1);
    return answer;
  }
};

TEST_F(WarmingJsonTest, HasSchedulesWithTheirNextRunAndTheBudgetsThatWereConfigured) {
  ASSERT_TRUE(settings_
                  .ReadFile("f.yaml",
                            "schedules:\n"
                            "  nightly: {namespace: task, cron: '30 2 * * *', time_zone: Europe/Berlin, keys: [a, b],"
                            " missed: skip, priority: 3}\n"
                            "  hot: {namespace: session, cron: '0 * * * *', time_zone: Europe/Berlin, top: 50}\n"
                            "budgets:\n"
                            "  namespaces: {task: 200}\n")
                  .ok());
  Process& leader = NewLeader();
  const auto json =
      WarmingJson(leader.warmer, {Answer(3), Answer(4)}, absl::FromUnixSeconds(1'800'000'000));
  ASSERT_TRUE(json.ok()) << json.status();
  ASSERT_EQ((*json)["schedules"].size(), 2u);
  EXPECT_EQ((*json)["schedules"][1], (ordered_json{{"name", "nightly"},
                                                   {"namespace", "task"},
                                                   {"cron", "30 2 * * *"},
                                                   {"time_zone", "Europe/Berlin"},
                                                   {"next_run", "2027-01-16T01:30:00Z"},
                                                   {"missed", "skip"},
                                                   {"priority", 3},
                                                   {"keys", 2},
                                                   {"hot_keys", false}}));
  EXPECT_EQ((*json)["schedules"][0]["keys"], 50);
  EXPECT_EQ((*json)["schedules"][0]["hot_keys"], true);
  EXPECT_EQ((*json)["schedules"][0]["next_run"], "2027-01-15T09:00:00Z");
  EXPECT_EQ((*json)["budgets"]["default_keys_per_second"], 1000.0);
  EXPECT_EQ((*json)["budgets"]["namespaces"]["task"], 200.0);
  EXPECT_TRUE((*json)["budgets"]["origins"].is_object());
  ASSERT_EQ((*json)["warmed"].size(), 1u);
  EXPECT_EQ((*json)["warmed"][0]["warmed_entries"], 7);
  EXPECT_EQ((*json)["warmed"][0]["used_entries"], 2);
  EXPECT_TRUE((*json)["jobs"].is_array());
  EXPECT_TRUE((*json)["sources"].is_array());
}

TEST_F(WarmingJsonTest, JobsAndTheBudgetsOfSourcesAreThere) {
  Process& leader = NewLeader();
  ASSERT_TRUE(leader.Run({"a", "b"}).ok());
  WarmFigures figures;
  figures.incarnation = 1;
  figures.warmed.push_back({"manual", "task", 100, 60, 40});
  leader.warmer.ReportFigures("n1", figures);
  const auto json = WarmingJson(leader.warmer, {}, clock_.Now());
  ASSERT_TRUE(json.ok()) << json.status();
  ASSERT_EQ((*json)["jobs"].size(), 1u);
  EXPECT_EQ((*json)["jobs"][0]["namespace"], "task");
  ASSERT_EQ((*json)["sources"].size(), 1u) << json->dump(1);
  EXPECT_EQ((*json)["sources"][0]["source"], "manual");
  EXPECT_GT((*json)["sources"][0]["budget"], 0.0);
}

TEST_F(WarmingJsonTest, AJobOverAbsentKeysIsDoneWhenAllAreRead) {
  Process& leader = NewLeader();
  leader.reader.MakeAbsent("b");
  ASSERT_TRUE(leader.Run({"a", "b", "c"}).ok());
  RunFor(absl::Seconds(1), {&leader});
  const auto json = WarmingJson(leader.warmer, {}, clock_.Now());
  ASSERT_TRUE(json.ok()) << json.status();
  const ordered_json& job = (*json)["jobs"][0];
  EXPECT_EQ(job["state"], "DONE") << job.dump(1);
  EXPECT_EQ(job["total_keys"], 3);
  EXPECT_EQ(job["warmed_keys"], 2);
  EXPECT_EQ(job["absent_keys"], 1);
  EXPECT_EQ(job["failed_keys"], 0);
  EXPECT_EQ(job["unkept_keys"], 0);
}

TEST_F(WarmingJsonTest, WhoDoesNotLeadHasNone) {
  EXPECT_FALSE(WarmingJson(NewProcess().warmer, {}, clock_.Now()).ok());
}

}  // namespace
}  // namespace meridian
