// A real coordinator whose schedules and rules are edited while it leads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_node.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using coordinator::v1::CoordinatorService;
using testing::HasSubstr;
using testing::Not;

constexpr absl::Duration kLimit = absl::Seconds(30);

class WarmingReloadTest : public testing::Test {
 protected:
  void Start(const std::string& text, const std::string& poll,
             const std::string& flag = "--warm-file=") {
    WriteFile(file_, text);
    grpc_ = FreeAddress();
    http_ = FreeAddress();
    absl::StatusOr<std::unique_ptr<ChildProcess>> started = ChildProcess::Start(
        {.words = {ProgramPath("meridian-coordinator"), "--region=us", "--grpc-address=" + grpc_,
                   "--http-address=" + http_, flag + file_, "--warm-poll=" + poll},
         .stdout_path = log_,
         .stderr_path = log_});
    ASSERT_TRUE(started.ok()) << started.status();
    coordinator_ = *std::move(started);
    stub_ = NewStub<CoordinatorService>(grpc_);
    ASSERT_TRUE(WaitUntil([&] { return Warming().find("\"jobs\"") != std::string::npos; }, kLimit))
        << "it does not lead";
  }
  std::string Warming() const {
    const absl::StatusOr<HttpPage> page = HttpGet(http_, "/v1/cluster/warming");
    return page.ok() ? page->body : "";
  }
  bool Has(const std::string& text) const { return Warming().find(text) != std::string::npos; }
  // How many rules an event matches; -1: the call failed.
  int Matched(const std::string& kind) {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    coordinator::v1::ReportEventsRequest request;
    request.add_events()->set_kind(kind);
    coordinator::v1::ReportEventsResponse response;
    if (!stub_->ReportEvents(&context, request, &response).ok()) return -1;
    return static_cast<int>(response.matched_events());
  }
  double Metric(const std::string& name, const std::vector<std::string>& labels = {}) const {
    return FetchMetric(http_, name, labels);
  }

  const TempDir dir_;
  const std::string file_ = dir_ / "warming.yaml";
  const std::string log_ = dir_ / "coordinator.log";
  std::string grpc_;
  std::string http_;
  std::unique_ptr<ChildProcess> coordinator_;
  std::unique_ptr<CoordinatorService::Stub> stub_;
};

TEST_F(WarmingReloadTest, AnEditIsInForceWithoutARestartAndAWrongOneChangesNothing) {
  Start("schedules: {first: {cron: '0 2 * * *', namespace: task, keys: [a]}}\n", "50ms");
  EXPECT_TRUE(Has("\"first\""));
  EXPECT_EQ(Matched("login"), 0);
  WriteFile(file_,
            "schedules: {second: {cron: '0 3 * * *', namespace: task, keys: [a]}}\n"
            "rules: {login: {on: login, warm: {task: [b]}}}\n");
  ASSERT_TRUE(WaitUntil([&] { return Has("\"second\"") && !Has("\"first\""); }, kLimit));
  EXPECT_EQ(Matched("login"), 1);

  WriteFile(file_, "schedules:\n  third: {cron: 'now', namespace: task, keys: [a]}\n");
  ASSERT_TRUE(WaitUntil(
      [&] { return Metric("meridian_warm_settings_last_reload_successful") == 0; }, kLimit));
  EXPECT_GE(Metric("meridian_warm_settings_reloads_total", {"result=\"failed\""}), 1);
  EXPECT_THAT(Warming(), HasSubstr(":2: schedules.third.cron: "));
  EXPECT_TRUE(Has("\"second\"") && !Has("\"third\""));
  EXPECT_EQ(Matched("login"), 1);
  EXPECT_THAT(ReadFile(log_), HasSubstr("those of before stay in force"));

  WriteFile(file_, "schedules: {}\n");
  ASSERT_TRUE(WaitUntil([&] { return !Has("\"second\""); }, kLimit));
  EXPECT_EQ(Metric("meridian_warm_settings_last_reload_successful"), 1);
  EXPECT_TRUE(Has("\"settings_problem\":\"\"")) << Warming();
}

// A coordinator's own file says more than what is to be warmed.
TEST_F(WarmingReloadTest, WhatElseIsWrongInTheCoordinatorsFileIsToldUnderItsOwnName) {
  const std::string first =
      "warming: {schedules: {first: {cron: '0 2 * * *', namespace: task, keys: [a]}}}\n";
  const auto await = [this](const std::string& text) {
    return WaitUntil([&] { return Has(text); }, kLimit);
  };
  Start(first, "50ms", "--config=");
  EXPECT_TRUE(Has("\"first\""));

  WriteFile(file_, "membership: {failure_timeout: soon}\n" + first);
  ASSERT_TRUE(await(":1: membership.failure_timeout: ")) << Warming();
  EXPECT_THAT(Warming(), HasSubstr("this is not about warming"));
  EXPECT_TRUE(Has("\"first\""));
  WriteFile(file_, "no_such: 1\n" + first);
  ASSERT_TRUE(await(":1: no_such: unknown")) << Warming();
  EXPECT_THAT(Warming(), HasSubstr("this is not about warming"));
  WriteFile(file_, "warming: {keys_per_second: many}\n");
  ASSERT_TRUE(await(":1: warming.keys_per_second: ")) << Warming();
  EXPECT_THAT(Warming(), Not(HasSubstr("this is not about warming")));
  WriteFile(file_, "# nothing\n");
  ASSERT_TRUE(await("for no settings, write `{}`")) << Warming();
  EXPECT_THAT(ReadFile(log_), Not(HasSubstr("warming: " + file_)))
      << "a problem of another setting is called one of warming";

  WriteFile(file_, "{}\n");
  ASSERT_TRUE(await("\"settings_problem\":\"\"")) << Warming();
  EXPECT_FALSE(Has("\"first\""));
}

TEST_F(WarmingReloadTest, ASignalNeedNotWaitForThePollAndReadsListsOfKeysToo) {
  WriteFile(dir_ / "keys.txt", "a\nb\n");
  Start(absl::StrCat("schedules: {list: {cron: '0 2 * * *', namespace: task, file: ",
                     dir_ / "keys.txt", "}}\n"),
        "24h");
  EXPECT_TRUE(Has("\"keys\":2")) << Warming();
  WriteFile(dir_ / "keys.txt", "a\nb\nc\n");
  coordinator_->Signal(SIGHUP);
  EXPECT_TRUE(WaitUntil([&] { return Has("\"keys\":3"); }, kLimit)) << Warming();
}

}  // namespace
}  // namespace meridian
