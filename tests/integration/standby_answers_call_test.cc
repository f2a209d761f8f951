// Two coordinators of a region, real processes: each of them answers what the leader answers,
// whichever of them lives and leads; and what one of them says of itself is on every screen.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(60);
constexpr absl::Duration kTakeoverGoal = absl::Seconds(10);
// Of an answer, or 503: 2 s, and what a busy machine adds.
constexpr absl::Duration kPatience = absl::Seconds(4);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};
constexpr char kOverview[] = "/v1/cluster/overview";

class StandbyAnswersCallTest : public testing::Test {
 protected:
  void StartCluster(const std::vector<std::string>& flags) {
    cluster_ = StartTestCluster(
        {.regions = {"us"}, .nodes = 1, .coordinators = 2, .coordinator_flags = flags});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return BothAnswerTheSame(kOverview); }, kLimit));
  }
  std::string Http(const std::string& coordinator) const {
    return cluster_->Address(coordinator, "http");
  }
  // Empty: none does.
  std::string Leader() const {
    for (const char* name : kCoordinators) {
      if (FetchMetric(Http(name), "meridian_coordinator_leader") == 1) return name;
    }
    return "";
  }
  static std::string OtherThan(const std::string& coordinator) {
    return kCoordinators[coordinator == kCoordinators[0] ? 1 : 0];
  }
  // Byte by byte: the overview is another one each second.
  bool BothAnswerTheSame(const std::string& path) const {
    const auto one = HttpGet(Http(kCoordinators[0]), path);
    const auto other = HttpGet(Http(kCoordinators[1]), path);
    return one.ok() && other.ok() && one->code == 200 && other->code == 200 &&
           one->body == other->body;
  }
  // Whether a coordinator answers with figures; if not, it says why, and soon.
  bool Answers(const std::string& coordinator) const {
    const absl::Time begun = absl::Now();
    const absl::StatusOr<HttpPage> page = HttpGet(Http(coordinator), kOverview);
    EXPECT_LT(absl::Now() - begun, kPatience);
    if (!page.ok()) {
      ADD_FAILURE() << page.status();
      return false;
    }
    if (page->code == 200) return true;
    EXPECT_EQ(page->code, 503);
    EXPECT_THAT(page->body, testing::AnyOf(HasSubstr("NOT_LEADER"), HasSubstr("NOT_READY")));
    return false;
  }
  // The coordinators of the alerts that fire, in an answer of alerts.
  static std::set<std::string> Named(const json& answer) {
    std::set<std::string> named;
    if (!answer.is_object()) return named;
    for (const json& alert : answer["alerts"]) {
      if (alert["name"] == "MeridianCertificateExpires" && alert["state"] == "firing") {
        named.insert(alert["labels"].value("coordinator", ""));
      }
    }
    return named;
  }
  CommandResult Ctl(std::vector<std::string> words) const {
    words.insert(words.begin(), ProgramPath("meridianctl"));
    words.insert(words.end(), {"--cluster", cluster_->file(), "--timeout", "5s"});
    return RunCommand(words, kLimit);
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(StandbyAnswersCallTest, EachAnswersTheSameAndTheLeadersDeathIsSoonOver) {
  StartCluster({});
  const std::string first = Leader();
  const std::string second = OtherThan(first);
  for (const char* path : {"/v1/cluster/ring", "/v1/cluster/alerts", "/v1/cluster/rollouts",
                           "/v1/cluster/hotkeys?limit=5", "/v1/cluster/recommendations"}) {
    EXPECT_TRUE(WaitUntil([&] { return BothAnswerTheSame(path); }, kLimit)) << path;
  }
  EXPECT_EQ(FetchJson(Http(second), kOverview)["coordinator"], first);
  EXPECT_TRUE(FetchJson(Http(second), "/v1/cache/stats").contains("metrics"));
  // Its status, too: what is wrong, is.
  for (const char* path : {"/v1/cluster/nothing", "/v1/cluster/hotkeys?limit=x"}) {
    const auto told = HttpGet(Http(second), path);
    const auto from_the_leader = HttpGet(Http(first), path);
    ASSERT_TRUE(told.ok() && from_the_leader.ok());
    EXPECT_GE(told->code, 400);
    EXPECT_EQ(told->code, from_the_leader->code);
    EXPECT_EQ(told->body, from_the_leader->body);
  }

  // A leader that is frozen: nobody waits for it, and its own belief lasts no longer than its
  // lease.
  cluster_->Stop(first);
  EXPECT_TRUE(WaitUntil([&] { return Answers(second); }, kLimit));
  EXPECT_EQ(FetchJson(Http(second), kOverview)["coordinator"], second);
  cluster_->Cont(first);
  EXPECT_TRUE(WaitUntil([&] { return BothAnswerTheSame(kOverview); }, kLimit));
  EXPECT_EQ(FetchJson(Http(first), kOverview)["coordinator"], second);

  const absl::Time killed = absl::Now();
  cluster_->Kill(second);
  ASSERT_TRUE(WaitUntil([&] { return Answers(first); }, kLimit));
  EXPECT_LT(absl::Now() - killed, kTakeoverGoal);
  EXPECT_EQ(FetchJson(Http(first), kOverview)["coordinator"], first);
  cluster_->Restart(second);
  EXPECT_TRUE(WaitUntil([&] { return BothAnswerTheSame(kOverview); }, kLimit));
}

TEST_F(StandbyAnswersCallTest, WhatAStandbySaysOfItselfIsOnEveryScreen) {
  const TempDir dir;
  TestAuthority authority(dir.path(), "receivers");  // For an hour: an alert.
  StartCluster(
      {absl::StrCat("--http-ca=", authority.ca_file()), "--alert-webhook=https://127.0.0.1:1/"});
  const std::set<std::string> both = {kCoordinators[0], kCoordinators[1]};
  for (const char* name : kCoordinators) {
    EXPECT_TRUE(WaitUntil(
        [&] { return Named(FetchJson(Http(name), "/v1/cluster/alerts")) == both; }, kLimit))
        << name << ": " << FetchJson(Http(name), "/v1/cluster/alerts");
  }
  EXPECT_GE(FetchJson(Http(Leader()), kOverview)["alerts"]["firing"], 2);
  const CommandResult alerts = Ctl({"alerts", "--region", "us", "--json"});
  EXPECT_EQ(Named(json::parse(alerts.out, nullptr, false)), both) << alerts.out << alerts.err;
  const CommandResult doctor = Ctl({"doctor"});
  for (const std::string& name : both) {
    EXPECT_THAT(doctor.out, HasSubstr(absl::StrCat("that coordinator ", name, " uses")));
  }
}

}  // namespace
}  // namespace meridian
