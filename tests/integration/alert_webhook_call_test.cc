// A receiver of alerts beside a real cluster: it is told once of what begins and what ends, by the
// coordinator that leads, in the form of Alertmanager's webhook.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/integration/http_json.h"
#include "tests/support/child_process.h"
#include "tests/support/http_page.h"
#include "tests/support/http_receiver.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"
#include "tests/support/test_cluster.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(60);

// "status node" of what was told of nodes that are down.
std::vector<std::string> Told(const HttpReceiver& receiver) {
  std::vector<std::string> told;
  for (const HttpReceiver::Request& request : receiver.requests()) {
    const json body = json::parse(request.body);
    EXPECT_EQ(body["version"], "4");
    EXPECT_EQ(body["groupLabels"]["region"], "us");
    for (const json& alert : body["alerts"]) {
      if (alert["labels"]["alertname"] != "MeridianNodeDown") continue;
      told.push_back(absl::StrCat(alert["status"].get<std::string>(), " ",
                                  alert["labels"]["node"].get<std::string>()));
    }
  }
  return told;
}

TEST(AlertWebhookCallTest, TheLeaderTellsOfADeadNodeAndOfItsReturnOnce) {
  std::atomic<bool> broken{true};
  const HttpReceiver receiver(
      [&](const HttpReceiver::Request&) { return HttpReceiver::Reply(broken ? 503 : 200); });
  const auto cluster =
      StartTestCluster({.regions = {"us"},
                        .nodes = 2,
                        .coordinators = 2,
                        .coordinator_flags = {
                            absl::StrCat("--alert-webhook=http://", receiver.address(), "/hook")}});
  ASSERT_NE(cluster, nullptr);
  cluster->Kill("us-node-2");
  ASSERT_TRUE(WaitUntil([&] { return !receiver.requests().empty(); }, kLimit));
  EXPECT_THAT(receiver.requests()[0].head, testing::StartsWith("POST /hook HTTP/1.1\r\n"));
  EXPECT_THAT(Told(receiver)[0], "firing us-node-2");
  broken = false;
  const auto metric = [&](const std::string& name, const std::string& label) {
    double sum = 0;
    for (const char* one : {"us-coordinator-1", "us-coordinator-2"}) {
      sum += FetchMetric(cluster->Address(one, "http"), name, {label});
    }
    return sum;
  };
  ASSERT_TRUE(WaitUntil(
      [&] { return metric("meridian_alert_webhook_requests_total", "outcome=\"delivered\"") >= 1; },
      kLimit));
  const double failed = metric("meridian_alert_webhook_requests_total", "outcome=\"failed\"");
  EXPECT_GE(failed, 1);
  cluster->Restart("us-node-2");
  const auto count = [&](const std::string& what) {
    const std::vector<std::string> told = Told(receiver);
    return std::count(told.begin(), told.end(), what);
  };
  ASSERT_TRUE(WaitUntil([&] { return count("resolved us-node-2") == 1; }, kLimit));
  // By the leader alone, until it was taken; a leader that had lost the lease tells it again.
  EXPECT_GE(count("firing us-node-2"), failed + 1);
  EXPECT_LE(count("firing us-node-2"), failed + 2);
}

// The authority that the receiver is trusted by expires within the hour.
TEST(AlertWebhookCallTest, WhoCeasesToLeadStillTellsOnceWhatIsWrongWithItself) {
  const TempDir dir;
  TestAuthority authority(dir.path(), "authority");
  const TestCertificate certificate = authority.Issue("receiver", "IP:127.0.0.1");
  absl::Mutex mu;
  bool broken = true;
  std::vector<std::string> taken;  // Of whom.
  const HttpReceiver receiver(
      [&](const HttpReceiver::Request& request) {
        absl::MutexLock lock(&mu);
        if (broken) return HttpReceiver::Reply(503);
        const json body = json::parse(request.body);
        for (const json& alert : body["alerts"]) {
          if (alert["labels"]["alertname"] != "MeridianCertificateExpires") continue;
          taken.push_back(alert["labels"].value("coordinator", ""));
        }
        return HttpReceiver::Reply(200);
      },
      &certificate);
  const auto cluster = StartTestCluster(
      {.regions = {"us"},
       .nodes = 1,
       .coordinators = 2,
       .coordinator_flags = {absl::StrCat("--alert-webhook=https://", receiver.address(), "/hook"),
                             absl::StrCat("--http-ca=", authority.ca_file())}});
  ASSERT_NE(cluster, nullptr);
  const std::string first = "us-coordinator-1";
  const std::string second = "us-coordinator-2";
  const auto metric = [&](const std::string& coordinator, const std::string& name) {
    return FetchMetric(cluster->Address(coordinator, "http"), name);
  };
  const auto leads = [&](const std::string& coordinator) {
    return metric(coordinator, "meridian_coordinator_leader") == 1;
  };
  ASSERT_TRUE(WaitUntil([&] { return leads(first) || leads(second); }, kLimit));
  const std::string leader = leads(first) ? first : second;
  const std::string standby = leads(first) ? second : first;
  for (const std::string& one : {first, second}) {
    ASSERT_TRUE(
        WaitUntil([&] { return metric(one, "meridian_alert_webhook_waiting") >= 1; }, kLimit));
  }
  cluster->Stop(leader);
  EXPECT_TRUE(WaitUntil([&] { return leads(standby); }, kLimit));
  cluster->Cont(leader);
  ASSERT_TRUE(WaitUntil([&] { return !leads(leader); }, kLimit));
  {
    absl::MutexLock lock(&mu);
    EXPECT_EQ(taken.size(), 0u);
    broken = false;
  }
  for (const std::string& one : {first, second}) {
    EXPECT_TRUE(
        WaitUntil([&] { return metric(one, "meridian_alert_webhook_waiting") == 0; }, kLimit));
  }
  absl::MutexLock lock(&mu);
  EXPECT_THAT(taken, testing::UnorderedElementsAre(first, second));
}

TEST(AlertWebhookCallTest, AReceiverThatIsSilentOrAwayHoldsUpNothing) {
  const HttpReceiver silent([](const HttpReceiver::Request&) { return ""; });
  const auto cluster = StartTestCluster(
      {.regions = {"us"},
       .nodes = 2,
       .coordinator_flags = {absl::StrCat("--alert-webhook=http://", silent.address())}});
  ASSERT_NE(cluster, nullptr);
  cluster->Kill("us-node-2");
  ASSERT_TRUE(WaitUntil([&] { return !silent.requests().empty(); }, kLimit));
  // A request is under way that is not answered for seconds.
  const std::string http = cluster->Address("us-coordinator-1", "http");
  for (int i = 0; i < 10; ++i) {
    const absl::Time begun = absl::Now();
    EXPECT_FALSE(FetchJson(http, "/v1/cluster/overview").is_null());
    EXPECT_LT(absl::Now() - begun, absl::Seconds(1));
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_TRUE(WaitUntil(
      [&] {
        return FetchMetric(http, "meridian_alert_webhook_requests_total", {"outcome=\"failed\""}) >=
               1;
      },
      kLimit));
}

TEST(AlertWebhookCallTest, AUrlThatIsNoneIsRefusedAtStartWithItsField) {
  const auto start = [](const std::vector<std::string>& flags) {
    std::vector<std::string> words = {ProgramPath("meridian-coordinator"), "--check-config"};
    words.insert(words.end(), flags.begin(), flags.end());
    return RunCommand(words, kLimit);
  };
  for (const std::string url : {"receiver:9093", "ftp://receiver", "http://", "http://re ceiver",
                                "http://user:secret@receiver", "http://receiver:99999"}) {
    const CommandResult result = start({"--alert-webhook", url});
    EXPECT_EQ(result.exit_code, 2) << url;
    EXPECT_THAT(result.err, HasSubstr("--alert-webhook")) << url;
    EXPECT_THAT(result.err, HasSubstr("not an HTTP URL (")) << url;
    EXPECT_THAT(result.err, testing::Not(HasSubstr("secret"))) << url;
  }
  EXPECT_THAT(start({"--http-ca", "/nowhere"}).err, HasSubstr("--http-ca needs an https:// URL"));
  EXPECT_EQ(start({"--alert-webhook", "https://receiver/hook"}).exit_code, 0);
  // The file is read when it is to be used.
  const CommandResult no_file =
      RunCommand({ProgramPath("meridian-coordinator"), "--grpc-address=127.0.0.1:0",
                  "--http-address=127.0.0.1:0", "--alert-webhook=https://receiver",
                  "--http-ca=/nowhere/ca.pem"},
                 kLimit);
  EXPECT_NE(no_file.exit_code, 0);
  EXPECT_THAT(no_file.err + no_file.out, HasSubstr("--http-ca: TLS: the CA file "
                                                   "'/nowhere/ca.pem' cannot be used"));
}

}  // namespace
}  // namespace meridian
