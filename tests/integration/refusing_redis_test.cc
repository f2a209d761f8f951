// A Redis that answers and takes no writes, for each of the reasons that production has, here and
// in the other region, alone and as one server of a Redis Cluster: nothing else waits, what waits
// says why, and in the end nothing is missing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;

constexpr int kKeys = 90;
constexpr int kGone = 18;
constexpr const char* kGoneRecords = "*:task:gone:*";
constexpr absl::Duration kPatience = absl::Seconds(30);

// One redis-server, and what can be wrong with it.
class Server {
 public:
  explicit Server(const std::string& address) : port_(address.substr(address.rfind(':') + 1)) {}

  std::string Do(std::vector<std::string> words) const {
    words.insert(words.begin(), {"redis-cli", "-p", port_});
    return std::string(absl::StripAsciiWhitespace(RunCommand(words).out));
  }
  void Refuse(const std::string& reason) {
    if (reason == "OOM") {
      Set("maxmemory-policy", "noeviction");
      Set("maxmemory", "1");
    } else if (reason == "NOREPLICAS") {
      Set("min-replicas-to-write", "1");
    } else {  // It cannot save: a folder has the file's name.
      Set("save", "3600 1000000");
      Set("stop-writes-on-bgsave-error", "yes");
      dump_ = absl::StrCat(Get("dir"), "/", Get("dbfilename"));
      std::filesystem::remove_all(dump_);
      std::filesystem::create_directory(dump_);
      Save("err");
    }
    ASSERT_THAT(Do({"SET", "probe", "v"}), HasSubstr(Expected(reason)));
  }
  void Mend(const std::string& reason) {
    if (reason == "OOM") {
      Set("maxmemory", "1gb");
    } else if (reason == "NOREPLICAS") {
      Set("min-replicas-to-write", "0");
    } else {
      std::filesystem::remove_all(dump_);
      Save("ok");
      Set("save", "");
    }
  }
  // As an eviction does: it is no change, and nobody is told.
  void Evict(const std::string& pattern) {
    for (const std::string& key : Names(pattern)) Do({"DEL", key});
  }
  std::vector<std::string> Names(const std::string& pattern) const {
    return absl::StrSplit(Do({"--scan", "--pattern", pattern}), '\n', absl::SkipEmpty());
  }

 private:
  // A server of a cluster may say first that the key is another's.
  std::string Expected(const std::string& reason) const {
    return Do({"CLUSTER", "INFO"}).find("cluster_state") == 0 ? "" : reason;
  }
  std::string Get(const std::string& name) const {
    const std::string answer = Do({"CONFIG", "GET", name});
    return answer.substr(answer.find('\n') + 1);
  }
  void Set(const std::string& name, const std::string& value) const {
    ASSERT_EQ(Do({"CONFIG", "SET", name, value}), "OK") << name;
  }
  void Save(const std::string& outcome) const {
    const std::string wanted = "rdb_last_bgsave_status:" + outcome;
    EXPECT_TRUE(WaitUntil(
        [&] {
          Do({"BGSAVE"});
          absl::SleepFor(absl::Milliseconds(100));
          return Do({"INFO", "persistence"}).find(wanted) != std::string::npos;
        },
        kPatience))
        << wanted;
  }

  const std::string port_;
  std::string dump_;
};

class RefusingRedisTest : public testing::TestWithParam<const char*> {
 protected:
  void Start(const std::string& shape) {
    TestClusterOptions options;
    options.regions = {"us", "eu"};
    options.nodes = 1;
    options.redis = shape;
    options.fault_proxies = "links";
    cluster_ = StartTestCluster(options);
    ASSERT_NE(cluster_, nullptr);
    us_ = cluster_->NewClient("us", {});
    eu_ = cluster_->NewClient("eu", {});
    SetAll("1");
    for (int i = 0; i < kGone; ++i) ASSERT_TRUE(us_->Set("task", Gone(i), "old").ok());
    ASSERT_TRUE(WaitUntil([&] { return Holding("1") == kKeys; }, kPatience));
    ASSERT_TRUE(WaitUntil([&] { return Link()["state"] == "streaming"; }, kPatience));
  }
  Server RedisOf(const std::string& process) { return Server(cluster_->Address(process, "redis")); }
  static std::string Gone(int i) { return absl::StrCat("gone:", i); }
  void SetAll(const std::string& value) {
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_TRUE(us_->Set("task", absl::StrCat("k", i), value).ok()) << "its own region goes on";
    }
  }
  // How many keys have that value in eu.
  int Holding(const std::string& value) {
    std::vector<std::string> names;
    for (int i = 0; i < kKeys; ++i) names.push_back(absl::StrCat("k", i));
    int holding = 0;
    for (const GetResult& result :
         eu_->BatchGet("task", std::vector<std::string_view>(names.begin(), names.end()))) {
      holding += result.value == value ? 1 : 0;
    }
    return holding;
  }
  int StillOld() {
    int old = 0;
    for (int i = 0; i < kGone; ++i) old += eu_->Get("task", Gone(i)).hit() ? 1 : 0;
    return old;
  }
  nlohmann::json Region(const std::string& command) {
    const CommandResult result =
        RunCommand({ProgramPath("meridianctl"), "region", command, "--json", "--admin",
                    cluster_->Address("us-node-1", "admin")});
    return nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  // From us to eu, as us tells it.
  nlohmann::json Link() {
    const nlohmann::json status = Region("status");
    if (!status.is_object()) return nlohmann::json::object();
    for (const nlohmann::json& link : status["links"]) {
      if (link["from"] == "us") return link;
    }
    return nlohmann::json::object();
  }
  std::string Problem() { return Link().value("problem", ""); }
  double Metric(const std::string& name) {
    const absl::StatusOr<HttpPage> page =
        HttpGet(cluster_->Address("us-node-1", "http"), "/metrics");
    return page.ok() ? MetricSum(page->body, name) : -1;
  }
  void ExpectNothingIsMissing(const std::string& value) {
    EXPECT_TRUE(WaitUntil([&] { return Holding(value) == kKeys; }, kPatience)) << Holding(value);
    EXPECT_TRUE(WaitUntil([&] { return Problem().empty(); }, kPatience)) << Problem();
    EXPECT_TRUE(
        WaitUntil([&] { return Region("diff").value("differing_keys", 1) == 0; }, kPatience))
        << Region("diff");
    EXPECT_EQ(Metric("meridian_replication_refused_slots"), 0);
    EXPECT_EQ(Metric("meridian_replication_owed_drops"), 0);
    EXPECT_EQ(Metric("meridian_replication_dropped_total"), 0) << "nothing was given up";
  }
  // Changes of which us has nothing any more when it comes to send them.
  void WriteWhatIsGone(const std::vector<std::string>& servers) {
    cluster_->Cut("eu");
    for (int i = 0; i < kGone; ++i) ASSERT_TRUE(us_->Set("task", Gone(i), "new").ok());
    for (const std::string& server : servers) RedisOf(server).Evict(kGoneRecords);
  }

  std::unique_ptr<TestCluster> cluster_;
  std::unique_ptr<Client> us_;
  std::unique_ptr<Client> eu_;
};

TEST_P(RefusingRedisTest, TheOtherRegionsIsWaitedForAndNothingIsLost) {
  Start("");
  Server eu = RedisOf("eu-redis");
  eu.Refuse(GetParam());
  SetAll("2");
  EXPECT_TRUE(WaitUntil([&] { return Link()["state"] == "disconnected"; }, kPatience)) << Link();
  EXPECT_THAT(Problem(), HasSubstr("store of eu: refuses changes of"));
  EXPECT_THAT(Problem(), HasSubstr(GetParam()));
  const double refused = Metric("meridian_replication_refused_slots");
  EXPECT_GE(refused, 1);
  EXPECT_EQ(Holding("2"), 0);
  eu.Mend(GetParam());
  const absl::Time mended = absl::Now();
  EXPECT_TRUE(WaitUntil([&] { return Holding("2") == kKeys; }, kPatience));
  printf("%s: %.0f slots were refused; all had arrived %.1f s after it was mended\n", GetParam(),
         refused, absl::ToDoubleSeconds(absl::Now() - mended));
  ExpectNothingIsMissing("2");
}

TEST_P(RefusingRedisTest, TheOwnOneHoldsNothingUpThatIsToBeSent) {
  Start("");
  WriteWhatIsGone({"us-redis"});
  SetAll("2");
  Server us = RedisOf("us-redis");
  us.Refuse(GetParam());
  // The link may have found one of them gone while it tried the cut line, and dropped it before.
  const int owed = kGone - static_cast<int>(us.Names(kGoneRecords).size());
  ASSERT_GT(owed, 0);
  cluster_->Heal("eu");
  const absl::Time healed = absl::Now();
  EXPECT_TRUE(WaitUntil([&] { return Holding("2") == kKeys; }, kPatience)) << Holding("2");
  EXPECT_TRUE(WaitUntil([&] { return StillOld() == 0; }, kPatience)) << StillOld();
  printf("%s: all had arrived %.1f s after the cut was healed\n", GetParam(),
         absl::ToDoubleSeconds(absl::Now() - healed));
  EXPECT_EQ(Metric("meridian_replication_owed_drops"), owed);
  EXPECT_THAT(Problem(), HasSubstr(absl::StrCat("store of us: refuses to drop what is older than ",
                                                owed, " changes")));
  EXPECT_THAT(Problem(), HasSubstr(GetParam()));
  us.Mend(GetParam());
  ExpectNothingIsMissing("2");
  EXPECT_EQ(StillOld(), 0);
}

TEST_P(RefusingRedisTest, OneServerOfAClusterConcernsItsOwnSlotsAlone) {
  Start("us=cluster,eu=cluster");
  // The other region's.
  Server eu = RedisOf("eu-redis-2");
  eu.Refuse(GetParam());
  SetAll("2");
  EXPECT_TRUE(WaitUntil([&] { return Holding("2") > kKeys / 3; }, absl::Seconds(5)));
  absl::SleepFor(absl::Seconds(1));
  const int others = Holding("2");
  EXPECT_LT(others, kKeys) << "so the test tests";
  const absl::Time written = absl::Now();
  SetAll("3");
  EXPECT_TRUE(WaitUntil([&] { return Holding("3") >= others; }, absl::Seconds(5))) << Holding("3");
  printf("%s: %d of %d keys are of the other servers, and crossed within %.1f s\n", GetParam(),
         others, kKeys, absl::ToDoubleSeconds(absl::Now() - written));
  EXPECT_NE(Link()["state"], "disconnected") << Link();
  EXPECT_THAT(Problem(), HasSubstr(GetParam()));
  EXPECT_GE(Metric("meridian_replication_refused_slots"), 1);
  eu.Mend(GetParam());
  ExpectNothingIsMissing("3");

  // The own one.
  WriteWhatIsGone({"us-redis-1", "us-redis-2", "us-redis-3"});
  SetAll("4");
  Server us = RedisOf("us-redis-2");
  us.Refuse(GetParam());
  cluster_->Heal("eu");
  EXPECT_TRUE(WaitUntil([&] { return Holding("4") == kKeys; }, kPatience)) << Holding("4");
  EXPECT_TRUE(WaitUntil([&] { return StillOld() == 0; }, kPatience)) << StillOld();
  const double owed = Metric("meridian_replication_owed_drops");
  printf("%s: %.0f of %d drops are owed\n", GetParam(), owed, kGone);
  EXPECT_GE(owed, 1);
  EXPECT_LT(owed, kGone);
  us.Mend(GetParam());
  ExpectNothingIsMissing("4");
  EXPECT_EQ(StillOld(), 0);
}

INSTANTIATE_TEST_SUITE_P(Each, RefusingRedisTest, testing::Values("MISCONF", "NOREPLICAS", "OOM"),
                         [](const auto& reason) { return std::string(reason.param); });

}  // namespace
}  // namespace meridian
