// What a cold cluster is given first: once, whoever leads.

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/policy/text.h"
#include "tests/support/fake_hot_keys.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/server/warming/warmer_fixture.h"

namespace meridian {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

constexpr char kStart[] = "startup: {first: {namespace: task, keys: [a, b]}}";

class WarmerStartTest : public WarmerTest {
 protected:
  void Read(const std::string& text) {
    const absl::Status status = settings_.ReadFile("f.yaml", text);
    ASSERT_TRUE(status.ok()) << status;
  }
  void ReadShipped(const std::string& name) {
    const std::string file = std::string(std::getenv("MERIDIAN_SOURCE_DIR")) + "/config/" + name;
    const absl::StatusOr<std::string> text = ReadSmallFile(file);
    ASSERT_TRUE(text.ok()) << text.status();
    Read(*text);
  }
  Process& NewLeader(const ColdStart::Nodes& serving = {"a/1", "b/1"}) {
    Process& process = NewProcess();
    process.warmer.SetHotKeys(hot_);
    process.warmer.SetServing(serving);
    process.Lead();
    return process;
  }

  FakeHotKeys hot_;
};

TEST_F(WarmerStartTest, Requirement0_07_TheHundredCommonPersonasAfterTheNodesServe) {
  ReadShipped("warming-persona.yaml");
  Process& leader = NewLeader({});
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_THAT(leader.reader.warmed(), IsEmpty()) << "nobody serves";
  leader.warmer.SetServing({"a/1"});
  RunFor(absl::Seconds(4), {&leader});
  EXPECT_THAT(leader.reader.warmed(), IsEmpty()) << "others may join";
  RunFor(absl::Seconds(6), {&leader});
  EXPECT_THAT(leader.reader.warmed(), SizeIs(100));
  const std::vector<std::string>& order = leader.reader.order();
  ASSERT_GE(order.size(), 3u);
  EXPECT_THAT(std::vector<std::string>(order.begin(), order.begin() + 3),
              ElementsAre("persona-warm/calm-flowing-seek_advice",
                          "persona-warm/analytical-burst-problem_solving",
                          "persona-warm/frustrated-medium-learning"));
  for (const WarmJob& job : leader.AllJobs()) EXPECT_EQ(job.source, "startup");
}

TEST_F(WarmerStartTest, Requirement0_07_WheneverItIsColdThoughNobodyAskedForThemLastTime) {
  ReadShipped("warming-persona.yaml");
  Process& leader = NewLeader({"a/1"});
  WarmFigures figures;
  figures.incarnation = 1;
  figures.warmed = {{"startup", "persona-warm", 0, 0, 0, 0}};
  for (int i = 0; i < 40; ++i) {
    RunFor(absl::Seconds(5), {&leader});
    figures.warmed[0].warmed += 100;
    figures.warmed[0].unused += 100;
    leader.warmer.ReportFigures("a", figures);
  }
  ASSERT_EQ(leader.warmer.ListSources("persona-warm")->size(), 1u);
  ASSERT_LT((*leader.warmer.ListSources("persona-warm"))[0].budget, 0.01);
  ASSERT_THAT(leader.reader.warmed(), SizeIs(100));
  leader.warmer.SetServing({});
  RunFor(absl::Seconds(10), {&leader});
  leader.warmer.SetServing({"a/2"});
  leader.reader.Forget();
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.reader.warmed(), SizeIs(100));
}

TEST_F(WarmerStartTest, Requirement1_04_UsersGenerationsTeamsAuthorisationInThisOrder) {
  ReadShipped("warming-ai-platform.yaml");
  settings_.budgets.default_rate = 1e6;
  options_.runner.pace.max = 1;
  for (const char* name_space : {"user", "generation", "team", "auth"}) {
    for (int i = 0; i < 700; ++i) hot_.Set(name_space, absl::StrCat(i), 1000 - i);
  }
  Process& leader = NewLeader();
  RunFor(absl::Seconds(60), {&leader});
  std::vector<std::pair<std::string, int>> runs;  // Of one namespace each, in the order read.
  for (const std::string& key : leader.reader.order()) {
    const std::string name_space = key.substr(0, key.find('/'));
    if (runs.empty() || runs.back().first != name_space) runs.emplace_back(name_space, 0);
    ++runs.back().second;
  }
  EXPECT_THAT(runs, ElementsAre(Pair("user", 100), Pair("generation", 500), Pair("team", 500),
                                Pair("auth", 500)));
  EXPECT_EQ(hot_.asked(HotKeyWindow::kDay), 3);
  EXPECT_EQ(hot_.asked(HotKeyWindow::kTwoDays), 1);
}

TEST_F(WarmerStartTest, OnceWhoeverLeads) {
  Read(kStart);
  Process& first = NewLeader();
  RunFor(absl::Seconds(3), {&first});
  first.Die();  // Before it has settled.
  Process& second = NewLeader();
  RunFor(absl::Seconds(10), {&second});
  EXPECT_THAT(second.reader.warmed(), UnorderedElementsAre(Pair("a", 1), Pair("b", 1)));
  second.Die();
  Process& third = NewLeader();
  RunFor(absl::Minutes(2), {&third});
  EXPECT_THAT(third.reader.warmed(), IsEmpty());
  EXPECT_THAT(third.AllJobs(), SizeIs(1));
  EXPECT_THAT(first.reader.warmed(), IsEmpty());
}

TEST_F(WarmerStartTest, AgainWhenAllNodesAreNewAndNotInARollingRestart) {
  Read(kStart);
  Process& leader = NewLeader();
  RunFor(absl::Minutes(1), {&leader});
  for (const ColdStart::Nodes& serving :
       {ColdStart::Nodes{"b/1"}, {"a/2", "b/1"}, {"a/2"}, {"a/2", "b/2"}}) {
    leader.warmer.SetServing(serving);
    RunFor(absl::Minutes(1), {&leader});
  }
  EXPECT_THAT(leader.reader.warmed(), Each(Pair(testing::_, 1)));
  leader.warmer.SetServing({});
  RunFor(absl::Seconds(10), {&leader});
  leader.warmer.SetServing({"a/3", "b/3"});
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.reader.warmed(), Each(Pair(testing::_, 2)));
}

TEST_F(WarmerStartTest, ItWaitsForAStoreThatIsAway) {
  Read(kStart);
  Process& leader = NewLeader();
  leader.view->SetReachable(false);
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_THAT(leader.reader.warmed(), IsEmpty());
  leader.view->SetReachable(true);
  RunFor(absl::Seconds(20), {&leader});
  EXPECT_THAT(leader.reader.warmed(), UnorderedElementsAre(Pair("a", 1), Pair("b", 1)));
}

TEST_F(WarmerStartTest, AListThatCannotBeReadIsLeftOutAndTheOthersAreNot) {
  Read("startup: {hot: {namespace: task, top: 5}, first: {namespace: task, keys: [a]}}");
  hot_.Fail(absl::DataLossError("by the test"));
  Process& leader = NewLeader();
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.reader.warmed(), UnorderedElementsAre(Pair("a", 1)));
}

TEST_F(WarmerStartTest, AFileHasAKeyALineAsItIs) {
  const TempDir dir;
  std::ofstream(dir / "keys.txt") << "a\n\n{1..3}\r\nc,d";
  Read(absl::StrCat("startup: {f: {namespace: task, file: ", (dir / "keys.txt"), "}}"));
  Process& leader = NewLeader();
  RunFor(absl::Seconds(10), {&leader});
  EXPECT_THAT(leader.reader.warmed(),
              UnorderedElementsAre(Pair("a", 1), Pair("{1..3}", 1), Pair("c,d", 1)));
}

TEST_F(WarmerStartTest, ErrorsNameTheFieldAndTheReason) {
  const auto error_of = [](const std::string& fields) {
    WarmSettings settings;
    return std::string(
        settings.ReadFile("f.yaml", absl::StrCat("startup: {s: {", fields, "}}")).message());
  };
  EXPECT_THAT(error_of("namespace: t, keys: [a], cron: '@daily'"),
              StartsWith("f.yaml:1: startup.s.cron: is for schedules"));
  EXPECT_THAT(error_of("namespace: t"), HasSubstr("keys is missing, or top, or file"));
  EXPECT_THAT(error_of("keys: [a]"), HasSubstr("startup.s: namespace is missing"));
  EXPECT_THAT(error_of("namespace: t, keys: [a], file: /x"), HasSubstr("both keys and file"));
  EXPECT_THAT(error_of("namespace: t, file: /does/not/exist"),
              HasSubstr("startup.s.file: /does/not/exist"));
}

}  // namespace
}  // namespace meridian
