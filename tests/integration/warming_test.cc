// Warming with real processes: a schedule that loses its leader, and jobs that people start.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/types.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
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
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using cache::v1::CacheService;
using coordinator::v1::CoordinatorService;
using coordinator::v1::GetStatusResponse;
using coordinator::v1::WarmJob;
using testing::AllOf;
using testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(30);
const char* const kCoordinators[] = {"us-coordinator-1", "us-coordinator-2"};
const char* const kNodes[] = {"us-node-1", "us-node-2"};

// Jobs that this test starts need not wait for each other.
constexpr char kWarming[] = R"(
schedules:
  tick:
    cron: "@every 1s"
    missed: all
    namespace: tick
    keys: ["tick:{1..3}"]
budgets:
  namespaces: {slow: 50}
)";

class WarmingTest : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "warming.yaml", kWarming);
    // L1 takes nothing of it that is asked for once.
    WriteFile(dir_ / "policies.yaml", "namespaces: {picky: {promotion_misses: 3}}\n");
    cluster_ = StartTestCluster(
        {.regions = {"us"},
         .coordinators = 2,
         .node_flags = {absl::StrCat("--policies=", dir_ / "policies.yaml")},
         .coordinator_flags = {absl::StrCat("--warm-file=", dir_ / "warming.yaml")}});
    ASSERT_NE(cluster_, nullptr);
    ASSERT_TRUE(WaitUntil([&] { return Leader().has_value(); }, kLimit)) << "nobody leads";
  }

  std::optional<GetStatusResponse> StatusOf(const std::string& coordinator) const {
    const auto stub = NewStub<CoordinatorService>(cluster_->Address(coordinator, "grpc"));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    GetStatusResponse status;
    if (!stub->GetStatus(&context, coordinator::v1::GetStatusRequest(), &status).ok()) {
      return std::nullopt;
    }
    return status;
  }
  std::optional<GetStatusResponse> Leader() const {
    for (const char* name : kCoordinators) {
      const std::optional<GetStatusResponse> status = StatusOf(name);
      if (status && status->leader()) return status;
    }
    return std::nullopt;
  }

  // meridianctl warm ...; it finds the leader through the cluster file.
  CommandResult Warm(std::vector<std::string> words) const {
    words.insert(words.begin(), {ProgramPath("meridianctl"), "warm"});
    words.insert(words.end(), {"--cluster", cluster_->file(), "--timeout", "10s"});
    return RunCommand(words, absl::Seconds(60));
  }
  // What is printed as JSON; the command must succeed.
  nlohmann::json WarmJson(std::vector<std::string> words) const {
    words.emplace_back("--json");
    const CommandResult result = Warm(std::move(words));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    nlohmann::json json = nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(json.is_discarded()) << result.out;
    return json;
  }

  // The jobs of the schedule, by id; empty while nobody leads.
  std::map<std::string, WarmJob> Ticks() const {
    std::map<std::string, WarmJob> ticks;
    for (const char* name : kCoordinators) {
      const auto stub = NewStub<CoordinatorService>(cluster_->Address(name, "grpc"));
      grpc::ClientContext context;
      calls::SetDeadline(&context);
      coordinator::v1::ListWarmJobsRequest request;
      request.set_page_size(1000);
      coordinator::v1::ListWarmJobsResponse response;
      if (!stub->ListWarmJobs(&context, request, &response).ok()) continue;
      for (const WarmJob& job : response.jobs()) {
        if (job.source() == "schedule") ticks[job.id()] = job;
      }
    }
    return ticks;
  }
  size_t DoneTicks() const {
    const std::map<std::string, WarmJob> ticks = Ticks();
    return static_cast<size_t>(std::count_if(ticks.begin(), ticks.end(), [](const auto& tick) {
      return tick.second.state() == coordinator::v1::WARM_JOB_STATE_DONE;
    }));
  }
  // The jobs of the stored state that the next leader will find; null when there is none.
  nlohmann::json StoredJobs() const {
    const std::string& address = cluster_->Address("us-redis", "redis");
    const CommandResult stored =
        RunCommand({"redis-cli", "-p", address.substr(address.rfind(':') + 1), "GET",
                    "m:{coord}:value:warm/state"});
    const nlohmann::json state =
        nlohmann::json::parse(stored.out, nullptr, /*allow_exceptions=*/false);
    return state.is_object() ? state.value("jobs", nlohmann::json()) : nlohmann::json();
  }
  bool AllStoredJobsAreDone() const {
    const nlohmann::json jobs = StoredJobs();
    return !jobs.empty() && std::all_of(jobs.begin(), jobs.end(), [](const nlohmann::json& job) {
      return job.value("state", "") == "done";
    });
  }
  pid_t PidOf(const std::string& coordinator) const {
    const nlohmann::json file = nlohmann::json::parse(ReadFile(cluster_->file()));
    for (const nlohmann::json& each : file["regions"]["us"]["coordinators"]) {
      if (each["name"] == coordinator) return each["pid"].get<pid_t>();
    }
    return 0;
  }
  // kill -9 of the leader when no job is under way; its name, empty when that never was so. It is
  // stopped for the look at the store, so that it does nothing between that and its death; a job
  // is read from only when it is stored.
  std::string KillLeaderBetweenTicks() {
    std::string killed;
    WaitUntil(
        [&] {
          const std::optional<GetStatusResponse> leader = Leader();
          if (!leader || !AllStoredJobsAreDone()) return false;
          const pid_t pid = PidOf(leader->id());
          if (pid <= 0 || kill(pid, SIGSTOP) != 0) return false;
          if (AllStoredJobsAreDone()) killed = leader->id();
          kill(pid, killed.empty() ? SIGCONT : SIGKILL);
          return !killed.empty();
        },
        kLimit);
    return killed;
  }
  // Keys of a namespace that the nodes were asked for as owners.
  double KeysLookedUp(const std::string& name_space) const {
    double sum = 0;
    for (const char* node : kNodes) {
      sum += FetchMetric(cluster_->Address(node, "http"), "meridian_cache_gets_total",
                         {"tier=\"l1\"", absl::StrCat("namespace=\"", name_space, "\"")});
    }
    return sum;
  }
  // Of these, what warming asked any of them for.
  double KeysWarmed(const std::string& name_space) const {
    double sum = 0;
    for (const char* node : kNodes) {
      sum += FetchMetric(cluster_->Address(node, "http"), "meridian_warm_reads_total",
                         {absl::StrCat("namespace=\"", name_space, "\"")});
    }
    return sum;
  }

  const TempDir dir_;
  std::unique_ptr<TestCluster> cluster_;
};

absl::Time TimeOf(const std::string& id) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("tick-%E4Y%m%dT%H%M%SZ", id, &time, &error)) << id << ": " << error;
  return time;
}

int HitsInL1(calls::Stub& node, const std::vector<std::string>& keys) {
  const cache::v1::BatchGetResponse got = calls::GetAll(node, keys);
  return static_cast<int>(
      std::count_if(got.entries().begin(), got.entries().end(), [](const auto& entry) {
        return entry.status() == cache::v1::ENTRY_STATUS_OK &&
               entry.source() == cache::v1::SOURCE_L1;
      }));
}

// 2-08: what is scheduled runs once, whoever leads.
TEST_F(WarmingTest, AOneSecondScheduleRunsOncePerTickThoughItsLeaderIsKilled) {
  ASSERT_TRUE(WaitUntil([&] { return DoneTicks() >= 3; }, kLimit));
  const std::string killed = KillLeaderBetweenTicks();
  ASSERT_FALSE(killed.empty());
  const nlohmann::json left = StoredJobs();  // What the next leader finds.
  ASSERT_TRUE(WaitUntil(
      [&] {
        const auto now = Leader();
        return now.has_value() && now->id() != killed;
      },
      kLimit));
  // What nobody led for, and some more.
  ASSERT_TRUE(WaitUntil([&] { return DoneTicks() >= left.size() + 8; }, kLimit));

  double read = 0;
  std::map<std::string, WarmJob> ticks;
  // Between two ticks: all jobs are over before the nodes are asked, and none is new after that.
  ASSERT_TRUE(WaitUntil(
      [&] {
        ticks = Ticks();
        const bool over = std::all_of(ticks.begin(), ticks.end(),
                                      [](const auto& tick) { return tick.second.has_end_time(); });
        read = KeysWarmed("tick");
        return over && Ticks().size() == ticks.size();
      },
      kLimit));
  for (const nlohmann::json& job : left) {
    EXPECT_EQ(ticks.count(job.value("id", "")), 1u) << job << " is forgotten";
  }
  // One job a second: none is missing (`missed: all`), none is there twice (a second one of the
  // same time would be called ~2, which is no time).
  absl::Time expected = TimeOf(ticks.begin()->first);
  for (const auto& [id, job] : ticks) {
    const absl::Time time = TimeOf(id);
    EXPECT_EQ(time, expected) << "a tick is lost";
    expected = time + absl::Seconds(1);
    EXPECT_EQ(job.state(), coordinator::v1::WARM_JOB_STATE_DONE) << id << ": " << job.error();
    EXPECT_EQ(job.total_keys(), 3u) << id;
    EXPECT_EQ(job.absent_keys(), 3u) << id << ": " << job.error();
  }
  // The nodes' own count.
  EXPECT_EQ(read, 3.0 * static_cast<double>(ticks.size())) << "a tick ran twice, or not at all";
}

// 1-04: what people warm is in memory before it is asked for.
TEST_F(WarmingTest, WarmRunLoadsKeysThatAreThenHitsInL1) {
  std::vector<std::string> keys;
  std::vector<std::string> probes;  // Of the same slots.
  for (int i = 1; i <= 300; ++i) {
    keys.push_back(absl::StrCat("task:", i));
    probes.push_back(absl::StrCat("{task:", i, "}"));
  }
  auto node = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  for (const auto* each : {&keys, &probes}) {
    const cache::v1::BatchSetResponse set = calls::SetAll(*node, *each, "value");
    for (const auto& result : set.results()) {
      ASSERT_EQ(result.status(), cache::v1::ENTRY_STATUS_OK);
    }
  }
  for (const char* key : {"picky:1", "picky:2"}) {
    const CommandResult set = RunCommand(
        {ProgramPath("meridianctl"), "set", "picky", key, "v", "--cluster", cluster_->file()});
    ASSERT_EQ(set.exit_code, 0) << set.err;
  }
  // Their memory is empty after a restart; the regional Redis has the values.
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
  ASSERT_EQ(KeysLookedUp("task"), 0) << "they were not restarted";
  // A node that has just started keeps nothing of a slot until it follows its changelog.
  node = NewStub<CacheService>(cluster_->Address("us-node-1", "data"));
  ASSERT_TRUE(WaitUntil([&] { return HitsInL1(*node, probes) == 300; }, kLimit));
  ASSERT_EQ(KeysWarmed("task"), 0);

  const nlohmann::json job = WarmJson({"run", "task", "task:{1..300}", "task:absent", "--wait"});
  EXPECT_EQ(job.value("state", ""), "DONE");
  EXPECT_EQ(job.value("total_keys", 0), 301);
  EXPECT_EQ(job.value("warmed_keys", 0), 300);
  EXPECT_EQ(job.value("absent_keys", -1), 1);
  EXPECT_EQ(job.value("failed_keys", -1), 0);
  EXPECT_EQ(KeysWarmed("task"), 301) << "a key was read more than once";

  EXPECT_EQ(HitsInL1(*node, keys), 300);

  const nlohmann::json picky = WarmJson({"run", "picky", "picky:{1..2}", "--wait"});
  EXPECT_EQ(picky.value("warmed_keys", -1), 0);
  EXPECT_EQ(picky.value("unkept_keys", -1), 2);
  EXPECT_THAT(picky.value("error", ""), HasSubstr("did not keep 2"));

  const std::string leader = Leader()->id();
  const std::vector<std::string> labels = {"namespace=\"task\"", "source=\"manual\""};
  double from_l2 = 0;
  for (const char* name : kCoordinators) {
    std::vector<std::string> l2 = labels;
    l2.emplace_back("outcome=\"l2\"");
    from_l2 += FetchMetric(cluster_->Address(name, "http"), "meridian_warm_keys_total", l2);
  }
  EXPECT_EQ(from_l2, 300);

  // A long one: shown, paused, resumed, cancelled; asked of the standby, which names the leader.
  const std::string standby =
      cluster_->Address(leader == kCoordinators[0] ? kCoordinators[1] : kCoordinators[0], "grpc");
  const auto memory = [&] {
    return FetchMetric(cluster_->Address(leader, "http"), "process_resident_memory_bytes", {});
  };
  const double memory_before = memory();
  const std::string id = WarmJson({"run", "slow", "key:{1..1000000}"}).value("id", "");
  ASSERT_FALSE(id.empty());
  const auto show = [&] { return WarmJson({"show", id, "--coordinator", standby}); };
  nlohmann::json shown;
  ASSERT_TRUE(WaitUntil(
      [&] {
        shown = show();
        return shown.value("state", "") == "RUNNING" && shown.value("absent_keys", 0) > 0;
      },
      kLimit));
  EXPECT_EQ(shown.value("total_keys", 0), 1000000);
  EXPECT_LT(shown.value("absent_keys", 0), 100'000) << "50 a second are allowed";
  EXPECT_LT(memory() - memory_before, 16e6) << "a million keys are in memory";
  EXPECT_EQ(WarmJson({"run", "slow", "key:{1..1000000}"}).value("state", ""), "QUEUED")
      << "one that has begun does not take another's place";
  EXPECT_EQ(WarmJson({"pause", id}).value("state", ""), "PAUSED");
  EXPECT_EQ(WarmJson({"resume", id}).value("state", ""), "RUNNING");
  EXPECT_EQ(WarmJson({"cancel", id}).value("state", ""), "CANCELLED");
  const CommandResult list = Warm({"list"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_THAT(list.out, AllOf(HasSubstr(id), HasSubstr("cancelled"), HasSubstr("301/301 (100 %)")));
  // Without the cluster file a node names the coordinator that it follows.
  const CommandResult by_node = Warm({"list", "--target", cluster_->Address("us-node-1", "data")});
  EXPECT_EQ(by_node.exit_code, 0) << by_node.err;
  EXPECT_THAT(by_node.out, HasSubstr(id));

  // Bad input: the field and the reason.
  EXPECT_THAT(Warm({"pause", id}).err, HasSubstr("WARM_JOB_OVER"));
  EXPECT_THAT(Warm({"show", "nothing"}).err, HasSubstr("WARM_JOB_UNKNOWN"));
  EXPECT_THAT(Warm({"run", "task", "a", "{9..1}"}).err,
              AllOf(HasSubstr("FIELD_INVALID"), HasSubstr("keys[1]"), HasSubstr("backwards")));
  EXPECT_THAT(Warm({"run", "--schedule", "nightly"}).err, HasSubstr("SCHEDULE_UNKNOWN"));
  EXPECT_EQ(Warm({"run"}).exit_code, 2);
  EXPECT_THAT(Warm({"run", "_meridian", "a"}).err, HasSubstr("NAMESPACE_RESERVED"));
  EXPECT_THAT(Warm({"run", "task", "a", "--deadline", "31d"}).err,
              AllOf(HasSubstr("FIELD_INVALID"), HasSubstr("deadline_ms")));

  // A deadline of its own, and the warning that it will not do.
  const CommandResult late = Warm({"run", "slow", "late:{1..1000}", "--deadline=2s", "--wait"});
  EXPECT_EQ(late.exit_code, 1);
  EXPECT_THAT(late.err, HasSubstr("warning: 1000 keys take 19s or more at 50 keys a second"));
  EXPECT_THAT(late.out, AllOf(HasSubstr("failed"), HasSubstr("DEADLINE_EXCEEDED: ")));

  // Keys of any bytes, and texts that are none.
  const nlohmann::json literal =
      WarmJson({"run", "task", "\xff", "task:{1..3}", "--literal", "--wait"});
  EXPECT_EQ(literal.value("total_keys", 0), 2);
  EXPECT_EQ(literal.value("absent_keys", 0), 2);
  const CommandResult bytes = Warm({"run", "task", "\xff"});
  EXPECT_EQ(bytes.exit_code, 2);
  EXPECT_THAT(bytes.err, HasSubstr("is not UTF-8; with --literal"));
  EXPECT_THAT(Warm({"pause", "\xff"}).err, HasSubstr("FIELD_INVALID: id: is not UTF-8"));
}

}  // namespace
}  // namespace meridian
