// Events that services report, with real processes: what a rule makes of them is in memory before
// it is asked for, also when the leader is killed in between.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cpp/event_reporter.h"
#include "meridian/admin/v1/admin_service.grpc.pb.h"
#include "meridian/coordinator/v1/coordinator_service.grpc.pb.h"
#include "tests/integration/cache_calls.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/stub.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using cache::v1::CacheService;
using coordinator::v1::CoordinatorService;
using coordinator::v1::GetStatusResponse;
using coordinator::v1::WarmJob;
using testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(30);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};
const char* const kNodes[] = {"us-node-1", "us-node-2"};
constexpr int kUsers = 20;
constexpr int kTasks = 5;  // Of a user.

constexpr char kRules[] = R"(
rules:
  user_login:
    on: login
    fields: [user]
    warm: {task: ["task:{user}:{1..5}"]}
  head_changed:
    on: update
    of: task
    key: "head:{id}"
    warm: {task: ["body:{id}"]}
    not_again_for: 0s
)";

std::vector<std::string> TasksOf(int user) {
  std::vector<std::string> keys;
  for (int i = 1; i <= kTasks; ++i) keys.push_back(absl::StrCat("task:", user, ":", i));
  return keys;
}

int HitsInL1(calls::Stub& node, const std::vector<std::string>& keys) {
  const cache::v1::BatchGetResponse got = calls::GetAll(node, keys);
  return static_cast<int>(
      std::count_if(got.entries().begin(), got.entries().end(), [](const auto& entry) {
        return entry.status() == cache::v1::ENTRY_STATUS_OK &&
               entry.source() == cache::v1::SOURCE_L1;
      }));
}

class WarmingEventsTest : public testing::Test {
 protected:
  void Start(const std::string& flag) {
    WriteFile(dir_ / "warming.yaml", kRules);
    cluster_ = StartTestCluster(
        {.regions = {"us"},
         .coordinators = 2,
         .node_flags = {},
         .coordinator_flags = {absl::StrCat("--warm-file=", dir_ / "warming.yaml"), flag}});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return Leader().has_value(); }, kLimit)) << "nobody leads";
    EventReporterOptions options;
    for (const char* name : kCoordinators) {
      options.coordinators.push_back(cluster_->Address(name, "grpc"));
    }
    auto reporter = EventReporter::Create(options);
    ASSERT_TRUE(reporter.ok()) << reporter.status();
    reporter_ = *std::move(reporter);
  }

  std::optional<GetStatusResponse> Leader() const {
    for (const char* name : kCoordinators) {
      const auto stub = NewStub<CoordinatorService>(cluster_->Address(name, "grpc"));
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      GetStatusResponse status;
      if (stub->GetStatus(&context, coordinator::v1::GetStatusRequest(), &status).ok() &&
          status.leader()) {
        return status;
      }
    }
    return std::nullopt;
  }
  // The jobs of rules, by id; empty while nobody leads.
  std::map<std::string, WarmJob> Jobs() const {
    std::map<std::string, WarmJob> jobs;
    for (const char* name : kCoordinators) {
      const auto stub = NewStub<CoordinatorService>(cluster_->Address(name, "grpc"));
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      coordinator::v1::ListWarmJobsRequest request;
      request.set_page_size(1000);
      coordinator::v1::ListWarmJobsResponse response;
      if (!stub->ListWarmJobs(&context, request, &response).ok()) continue;
      for (const WarmJob& job : response.jobs()) {
        if (job.source() == "rule") jobs[job.id()] = job;
      }
    }
    return jobs;
  }
  bool AllDone() const {
    const std::map<std::string, WarmJob> jobs = Jobs();
    return !jobs.empty() && std::all_of(jobs.begin(), jobs.end(), [](const auto& job) {
      return job.second.state() == coordinator::v1::WARM_JOB_STATE_DONE;
    });
  }
  double KeysWarmed() const {
    double sum = 0;
    for (const char* node : kNodes) {
      sum += FetchMetric(cluster_->Address(node, "http"), "meridian_warm_reads_total",
                         {"namespace=\"task\""});
    }
    return sum;
  }
  // Both nodes are new and have nothing in memory but what is read.
  void RestartNodes() {
    const uint64_t epoch = Leader()->epoch();
    for (const char* name : kNodes) {
      cluster_->Kill(name);
      cluster_->Restart(name);
    }
    ASSERT_TRUE(WaitUntil(
        [&] {
          const auto status = Leader();
          if (!status || status->epoch() <= epoch || status->nodes_size() != 2) return false;
          return std::all_of(status->nodes().begin(), status->nodes().end(), [&](const auto& each) {
            return each.member().state() == cache::v1::MEMBER_STATE_SERVING &&
                   each.epoch() == status->epoch();
          });
        },
        kLimit));
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<EventReporter> reporter_;
};

// 2-07, 1-05: what an event of one service makes likely is in memory, whoever leads.
TEST_F(WarmingEventsTest, WhatWasReportedIsInMemoryThoughTheLeaderIsKilled) {
  Start("--warm-events=10000");
  std::vector<std::string> keys;
  std::vector<std::string> probes;  // Of the same slots.
  for (int user = 1; user <= kUsers; ++user) {
    for (const std::string& key : TasksOf(user)) {
      keys.push_back(key);
      probes.push_back(absl::StrCat("{", key, "}"));
    }
  }
  auto node = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  for (const auto* each : {&keys, &probes}) {
    const cache::v1::BatchSetResponse set = calls::SetAll(*node, *each, "value");
    for (const auto& result : set.results()) {
      ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK);
    }
  }
  RestartNodes();
  node = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  const int all = static_cast<int>(keys.size());
  // A node that has just started keeps nothing of a slot until it follows its changelog.
  ASSERT_TRUE(WaitUntil([&] { return HitsInL1(*node, probes) == all; }, kLimit));
  ASSERT_EQ(KeysWarmed(), 0);

  int repeated = 0;
  const std::string leader = Leader()->id();
  for (int user = 1; user <= kUsers; ++user) {
    if (user == kUsers / 2) cluster_->Kill(leader);
    const absl::Time give_up = absl::Now() + kLimit;
    ReportResult result =
        reporter_->Report({{.kind = "login", .fields = {{"user", absl::StrCat(user)}}}});
    while (!result.ok() && absl::Now() < give_up) {
      ++repeated;
      absl::SleepFor(absl::Milliseconds(50));
      result = reporter_->Report({{.kind = "login", .fields = {{"user", absl::StrCat(user)}}}});
    }
    ASSERT_TRUE(result.ok()) << result.error->reason << ": " << result.error->message;
    EXPECT_EQ(result.accepted, 1u);
    EXPECT_EQ(result.matched, 1u);
  }
  EXPECT_NE(Leader()->id(), leader);
  EXPECT_GT(repeated, 0) << "the leader's death was not noticed";
  ASSERT_TRUE(WaitUntil([&] { return AllDone(); }, kLimit));
  const double read = KeysWarmed();
  EXPECT_EQ(HitsInL1(*node, keys), all) << "events were lost";
  // The nodes' own count. The event whose answer the leader's death cut off may be there twice, and
  // so may what a job had read and not yet noted.
  EXPECT_GE(read, all);
  EXPECT_LE(read, all + 2 * kTasks) << "events were warmed twice";
  std::map<std::string, WarmJob> jobs = Jobs();
  EXPECT_GE(jobs.size(), static_cast<size_t>(kUsers)) << "jobs of before the change are lost";
}

// 2-07, 2-09: nobody reports anything: the node that a client asked has told it. A namespace that
// no rule is for is left alone.
TEST_F(WarmingEventsTest, AnUpdateIsSeenByItselfWhoeverLeads) {
  Start("--warm-events=10000");
  const auto node = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  const auto names = [](const std::string& what, int from) {
    std::vector<std::string> keys;
    for (int i = from; i < from + kUsers; ++i) keys.push_back(absl::StrCat(what, ":", i));
    return keys;
  };
  calls::SetAll(*node, names("body", 0), "value");
  calls::SetAll(*node, names("body", kUsers), "value");
  const auto drop = [&] {
    for (const char* name : kNodes) {
      const auto admin = NewStub<admin::v1::AdminService>(cluster_->Address(name, "admin"));
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      admin::v1::FlushL1Request request;
      request.set_confirm(true);
      admin::v1::FlushL1Response response;
      ASSERT_TRUE(admin->FlushL1(&context, request, &response).ok());
    }
  };
  const auto updates = [&](const std::string& outcome) {
    double sum = 0;
    for (const char* name : kNodes) {
      sum += FetchMetric(cluster_->Address(name, "http"), "meridian_updates_total",
                         {absl::StrCat("outcome=\"", outcome, "\"")});
    }
    return sum;
  };
  // The bodies of before were updates, too, of no form that a rule has.
  ASSERT_TRUE(WaitUntil([&] { return updates("reported") >= 2 * kUsers; }, kLimit));
  EXPECT_TRUE(Jobs().empty());
  EXPECT_EQ(KeysWarmed(), 0);

  drop();
  calls::SetAll(*node, names("head", 0), "changed");
  ASSERT_TRUE(WaitUntil([&] { return KeysWarmed() >= kUsers && AllDone(); }, kLimit));
  EXPECT_EQ(HitsInL1(*node, names("body", 0)), kUsers);
  // An update may be told twice, where an answer was late; what warming read would be told for
  // ever.
  EXPECT_LE(KeysWarmed(), 2 * kUsers) << "what warming read was told as an update";

  const std::string leader = Leader()->id();
  cluster_->Kill(leader);
  drop();
  calls::SetAll(*node, names("head", kUsers), "changed");
  ASSERT_TRUE(WaitUntil([&] { return KeysWarmed() >= 2 * kUsers && AllDone(); }, kLimit));
  EXPECT_EQ(HitsInL1(*node, names("body", kUsers)), kUsers);
  EXPECT_EQ(updates("dropped"), 0);

  // Nobody wants to know of this namespace: it is asked for once, then left alone.
  EXPECT_EQ(updates("unwanted"), 0);
  const auto write = [&] {
    grpc::ClientContext context;
    calls::SetDeadline(&context);
    cache::v1::SetRequest request;
    request.set_namespace_("nobodys");
    request.mutable_entry()->set_key("k");
    cache::v1::SetResponse response;
    ASSERT_TRUE(node->Set(&context, request, &response).ok());
  };
  write();
  ASSERT_TRUE(WaitUntil([&] { return updates("unwanted") == 1; }, kLimit));
  for (int i = 0; i < 15; ++i) {
    write();
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_EQ(updates("unwanted"), 1);
}

// A flood is limited and says so; bad events name the field.
TEST_F(WarmingEventsTest, AFloodAndBadEventsAreRefused) {
  Start("--warm-events=1");
  std::vector<ServiceEvent> flood(1000, ServiceEvent{.kind = "login", .fields = {{"user", "1"}}});
  const ReportResult first = reporter_->Report(flood);
  ASSERT_TRUE(first.ok()) << first.error->message;
  EXPECT_EQ(first.accepted, 1u);
  const ReportResult second = reporter_->Report(flood);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error->reason, "EVENTS_LIMITED");
  EXPECT_EQ(second.error->code, absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(second.error->retry_after, absl::Seconds(1));

  flood.push_back({.kind = "login"});
  EXPECT_EQ(reporter_->Report(flood).error->field, "events");
  const ReportResult bad = reporter_->Report({{.kind = "login"}, {.kind = "No Kind"}});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.error->reason, "FIELD_INVALID");
  EXPECT_EQ(bad.error->field, "events[1].kind");
  EXPECT_THAT(bad.error->message, HasSubstr("'No Kind' is not [a-z0-9_.-]{1,64}"));

  // By hand; until the coordinator takes one again.
  const auto event = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {ProgramPath("meridianctl"), "warm", "event"});
    words.insert(words.end(), {"--cluster", cluster_->file(), "--timeout", "10s"});
    CommandResult result = RunCommand(words, absl::Seconds(60));
    for (int i = 0; i < 50 && result.err.find("EVENTS_LIMITED") != std::string::npos; ++i) {
      absl::SleepFor(absl::Milliseconds(100));
      result = RunCommand(words, absl::Seconds(60));
    }
    return result;
  };
  EXPECT_EQ(event({"login", "user=7"}).out, "taken\n");
  EXPECT_EQ(event({"logout"}).out, "taken; no rule is for it\n");
  EXPECT_EQ(event({"login", "user"}).exit_code, 2);
  const CommandResult twice = event({"login", "user=1", "user=2"});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_THAT(twice.err, HasSubstr("field user is given twice"));
  EXPECT_THAT(event({"login", "user=\xff"}).err, HasSubstr("is not UTF-8"));
  EXPECT_THAT(event({"update", "--namespace", "_meridian", "--key", "k"}).err,
              ::testing::AllOf(HasSubstr("NAMESPACE_RESERVED"), HasSubstr("events[0].namespace")));
  double limited = 0;
  for (const char* name : kCoordinators) {
    limited += FetchMetric(cluster_->Address(name, "http"), "meridian_warm_events_total",
                           {"outcome=\"limited\""});
  }
  EXPECT_GE(limited, 1999);
}

}  // namespace
}  // namespace meridian
