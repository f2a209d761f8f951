#include "server/figures/alert_webhook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/figures/alert_rules.h"
#include "tests/support/fake_executor.h"
#include "tests/unit/server/figures/fake_http_sender.h"

namespace meridian {
namespace {

using coordinator::v1::Alert;
using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Alert MakeAlert(const std::string& name, const std::string& node, bool firing = true) {
  Alert alert;
  alert.set_name(name);
  alert.set_severity("critical");
  alert.set_summary(absl::StrCat("node ", node, " does not answer"));
  alert.set_state(firing ? "firing" : "resolved");
  (*alert.mutable_labels())["node"] = node;
  alert.mutable_since()->set_seconds(1'800'000'000);
  alert.mutable_since()->set_nanos(250'000'000);
  if (!firing) alert.mutable_resolved_time()->set_seconds(1'800'000'060);
  alert.set_value(1.5);
  alert.set_runbook(absl::StrCat("docs/runbooks/", name, ".md"));
  return alert;
}

AlertWebhookOptions Options() {
  AlertWebhookOptions options;
  options.url = *ParseHttpUrl("http://receiver:9093/hook");
  options.region = "us";
  options.external_url = "http://coordinator:7413/";
  return options;
}

class AlertWebhookTest : public testing::Test {
 protected:
  void Tell(const std::string& node, bool firing = true) {
    webhook_.Tell(MakeAlert("MeridianNodeDown", node, firing));
  }
  // An alert about the coordinator itself.
  void TellOwn(bool firing = true) {
    Alert alert = MakeAlert("MeridianCertificateExpires", "own", firing);
    (*alert.mutable_labels())["coordinator"] = "c1";
    webhook_.Tell(alert);
  }
  void LeadNoLonger() { webhook_.KeepOnly(IsOfCoordinator); }
  // "node status" of each alert of the request that waits for its answer.
  std::vector<std::string> Told() {
    executor_.RunDue();
    std::vector<std::string> told;
    if (sender_.sent.empty()) return told;
    const json body = json::parse(sender_.sent.back().call.body);
    for (const json& alert : body["alerts"]) {
      told.push_back(absl::StrCat(alert["labels"]["node"].get<std::string>(), " ",
                                  alert["status"].get<std::string>()));
    }
    return told;
  }
  void Answer(absl::StatusOr<HttpAnswer> answer) {
    sender_.Answer(std::move(answer));
    executor_.RunDue();
  }
  void Answer(int code) { Answer(HttpAnswer{.code = code}); }
  bool HasMetric(const std::string& line) const {
    return absl::StrCat("\n", metrics_.PrometheusText()).find(absl::StrCat("\n", line, "\n")) !=
           std::string::npos;
  }

  FakeClock clock_;
  FakeExecutor executor_{clock_};
  FakeHttpSender sender_;
  MetricRegistry metrics_;
  std::vector<std::string> problems_;
  AlertWebhook webhook_{Options(),
                        clock_,
                        executor_,
                        sender_,
                        metrics_,
                        [] { return 0.5; },  // No jitter.
                        [this](std::string_view problem) { problems_.emplace_back(problem); }};
};

// The shape is Alertmanager's: prometheus.io/docs/alerting/latest/configuration/#webhook_config.
TEST_F(AlertWebhookTest, TheBodyIsThatOfAlertmanagersWebhook) {
  Alert ended = MakeAlert("MeridianRedisAway", "n2", /*firing=*/false);
  ended.set_severity("warning");
  const json body =
      json::parse(AlertWebhookBody(Options(), {MakeAlert("MeridianNodeDown", "n1"), ended}));
  EXPECT_EQ(body["version"], "4");
  EXPECT_EQ(body["status"], "firing");
  EXPECT_EQ(body["receiver"], "meridian");
  EXPECT_EQ(body["groupKey"], "{}:{region=\"us\"}");
  EXPECT_EQ(body["truncatedAlerts"], 0);
  EXPECT_EQ(body["groupLabels"], (json{{"region", "us"}}));
  EXPECT_EQ(body["commonLabels"], (json{{"region", "us"}})) << "nothing else is alike";
  EXPECT_EQ(body["commonAnnotations"], (json{{"value", "1.5"}}));
  EXPECT_EQ(body["externalURL"], "http://coordinator:7413/");
  ASSERT_EQ(body["alerts"].size(), 2u);
  const json& first = body["alerts"][0];
  EXPECT_EQ(first["status"], "firing");
  EXPECT_EQ(first["labels"], (json{{"alertname", "MeridianNodeDown"},
                                   {"severity", "critical"},
                                   {"node", "n1"},
                                   {"region", "us"}}));
  EXPECT_EQ(first["annotations"]["summary"], "node n1 does not answer");
  EXPECT_EQ(first["annotations"]["runbook"], "docs/runbooks/MeridianNodeDown.md");
  EXPECT_EQ(first["startsAt"], "2027-01-15T08:00:00.250Z");
  EXPECT_EQ(first["endsAt"], "0001-01-01T00:00:00Z");
  EXPECT_EQ(first["generatorURL"], "http://coordinator:7413/");
  EXPECT_EQ(first["fingerprint"].get<std::string>().size(), 16u);
  EXPECT_EQ(body["alerts"][1]["status"], "resolved");
  EXPECT_EQ(body["alerts"][1]["endsAt"], "2027-01-15T08:01:00.000Z");
}

TEST_F(AlertWebhookTest, AFingerprintIsThatOfTheAlertWhateverItsStateAndSeverity) {
  const auto fingerprint = [](const Alert& alert) {
    return json::parse(AlertWebhookBody(Options(), {alert}))["alerts"][0]["fingerprint"];
  };
  Alert later = MakeAlert("MeridianNodeDown", "n1", /*firing=*/false);
  later.set_severity("warning");
  later.set_value(3);
  EXPECT_EQ(fingerprint(later), fingerprint(MakeAlert("MeridianNodeDown", "n1")));
  EXPECT_NE(fingerprint(MakeAlert("MeridianNodeDown", "n2")), fingerprint(later));
}

TEST_F(AlertWebhookTest, BytesThatAreNoTextDoNotStopIt) {
  Alert alert = MakeAlert("MeridianReplicationStuck", "n1");
  alert.set_summary("\xff\xfe");
  EXPECT_THAT(AlertWebhookBody(Options(), {alert}), HasSubstr("\xef\xbf\xbd"));
}

TEST_F(AlertWebhookTest, WhatHappensInOneSecondIsOneRequestAndMeanwhileTheNext) {
  Tell("n1");
  Tell("n2");
  EXPECT_THAT(Told(), ElementsAre("n1 firing", "n2 firing"));
  EXPECT_EQ(sender_.sent[0].call.url.target, "/hook");
  Tell("n3");
  Tell("n1", /*firing=*/false);
  executor_.RunFor(absl::Hours(1));
  EXPECT_EQ(sender_.sent.size(), 1u) << "one request at a time";
  EXPECT_EQ(webhook_.waiting(), 4u);
  Answer(200);
  EXPECT_THAT(Told(), ElementsAre("n3 firing", "n1 resolved"));
  Answer(204);
  EXPECT_THAT(sender_.sent, IsEmpty());
  EXPECT_EQ(webhook_.waiting(), 0u);
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_requests_total{outcome=\"delivered\"} 2"));
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"delivered\"} 4"));
  EXPECT_THAT(problems_, IsEmpty());
}

TEST_F(AlertWebhookTest, WhatTheReceiverHasTakenIsTold) {
  std::vector<std::string> taken;
  webhook_.SetOnTaken([&taken](const Alert& alert) { taken.push_back(alert.labels().at("node")); });
  Tell("n1");
  EXPECT_THAT(Told(), ElementsAre("n1 firing"));
  Answer(503);
  EXPECT_THAT(taken, IsEmpty());
  executor_.RunFor(absl::Seconds(2));
  Tell("n2");
  Answer(200);
  EXPECT_THAT(taken, ElementsAre("n1")) << "n2 is on its way";
  Answer(400);
  EXPECT_THAT(taken, ElementsAre("n1")) << "refused";
}

TEST_F(AlertWebhookTest, AReceiverThatDoesNotAnswerIsAskedLaterAndLaterUntilItDoes) {
  Tell("n1");
  executor_.RunDue();
  std::vector<int> codes = {0, 500, 503, 429, 408, 502};
  absl::Duration delay = absl::Seconds(1);
  for (const int code : codes) {
    ASSERT_EQ(sender_.sent.size(), 1u);
    if (code == 0) {
      Answer(absl::UnavailableError("no connection"));
    } else {
      Answer(code);
    }
    EXPECT_EQ(webhook_.waiting(), 1u);
    executor_.RunFor(delay - absl::Milliseconds(1));
    EXPECT_THAT(sender_.sent, IsEmpty()) << delay;
    executor_.RunFor(absl::Milliseconds(1));
    delay = std::min(2 * delay, absl::Minutes(2));
  }
  EXPECT_THAT(Told(), ElementsAre("n1 firing"));
  Answer(200);
  EXPECT_EQ(webhook_.waiting(), 0u);
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_requests_total{outcome=\"failed\"} 6"));
  EXPECT_THAT(problems_, ElementsAre("no connection", "HTTP 500", "HTTP 503", "HTTP 429",
                                     "HTTP 408", "HTTP 502", ""));
  // Well again: the next failure is asked about soon.
  Tell("n2");
  executor_.RunDue();
  Answer(500);
  executor_.RunFor(absl::Seconds(1));
  EXPECT_EQ(sender_.sent.size(), 1u);
}

TEST_F(AlertWebhookTest, OfAnAlertThatHasEndedMeanwhileOnlyThatIsTold) {
  Tell("n1");
  Tell("n2");
  executor_.RunDue();
  Tell("n1", /*firing=*/false);
  Answer(500);
  executor_.RunFor(absl::Seconds(1));
  EXPECT_THAT(Told(), ElementsAre("n2 firing", "n1 resolved"));
}

TEST_F(AlertWebhookTest, WhatIsRefusedIsNotRepeatedAndRedirectsAreNotFollowed) {
  for (const int code : {301, 302, 307, 400, 401, 404}) {
    Tell(absl::StrCat("n", code));
    executor_.RunDue();
    ASSERT_EQ(sender_.sent.size(), 1u) << code;
    Answer(code);
    executor_.RunFor(absl::Hours(1));
    EXPECT_THAT(sender_.sent, IsEmpty()) << code;
  }
  EXPECT_EQ(webhook_.waiting(), 0u);
  EXPECT_EQ(problems_.back(), "it refuses what it is sent: HTTP 404");
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"refused\"} 6"));
}

TEST_F(AlertWebhookTest, AnAlertThatCannotBeToldForAnHourIsDropped) {
  Tell("n1");
  executor_.RunDue();
  const absl::Time told = clock_.Now();
  while (!sender_.sent.empty()) {
    Answer(503);
    executor_.RunFor(absl::Minutes(2));
    ASSERT_LT(clock_.Now() - told, absl::Hours(2));
  }
  EXPECT_GT(clock_.Now() - told, AlertWebhook::kMaxAge);
  EXPECT_EQ(webhook_.waiting(), 0u);
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"dropped\"} 1"));
}

TEST_F(AlertWebhookTest, OfTooManyTheOldestAreDropped) {
  Tell("first");
  executor_.RunDue();
  for (size_t i = 0; i < AlertWebhook::kMaxWaiting + 2; ++i) Tell(absl::StrCat("n", i));
  EXPECT_EQ(webhook_.waiting(), AlertWebhook::kMaxWaiting + 1);
  Answer(200);
  const std::vector<std::string> told = Told();
  ASSERT_EQ(told.size(), AlertWebhook::kMaxBatch);
  EXPECT_EQ(told[0], "n2 firing");
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"dropped\"} 2"));
}

TEST_F(AlertWebhookTest, WhoLeadsNoLongerTellsNothingMoreOfWhatItsSuccessorGoesOnWith) {
  Tell("n1");
  executor_.RunDue();
  Tell("n2");
  LeadNoLonger();
  Answer(500);
  executor_.RunFor(absl::Hours(1));
  EXPECT_THAT(sender_.sent, IsEmpty());
  EXPECT_EQ(webhook_.waiting(), 0u);
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"dropped\"} 2"));
  // It leads again.
  Tell("n3");
  EXPECT_THAT(Told(), ElementsAre("n3 firing"));
}

TEST_F(AlertWebhookTest, AnOwnAlertThatIsQueuedWhenTheLeadIsLostIsToldOnce) {
  Tell("n1");
  executor_.RunDue();  // Under way, so that the next ones queue.
  Tell("n2");
  TellOwn();
  LeadNoLonger();
  EXPECT_EQ(webhook_.waiting(), 2u);
  Answer(200);
  ASSERT_THAT(Told(), ElementsAre("own firing"));
  Answer(200);
  executor_.RunFor(absl::Hours(2));
  EXPECT_THAT(sender_.sent, IsEmpty());
  EXPECT_EQ(webhook_.waiting(), 0u);
}

TEST_F(AlertWebhookTest, AnOwnAlertThatIsUnderWayWhenTheLeadIsLostIsTakenOrToldAgain) {
  std::vector<std::string> taken;
  webhook_.SetOnTaken([&taken](const Alert& alert) { taken.push_back(alert.labels().at("node")); });
  TellOwn();
  Tell("n1");
  EXPECT_THAT(Told(), ElementsAre("own firing", "n1 firing"));
  LeadNoLonger();
  Answer(503);
  EXPECT_EQ(webhook_.waiting(), 1u);
  executor_.RunFor(absl::Milliseconds(999));
  EXPECT_THAT(sender_.sent, IsEmpty()) << "as late as any other";
  executor_.RunFor(absl::Milliseconds(1));
  ASSERT_THAT(Told(), ElementsAre("own firing"));
  LeadNoLonger();
  Answer(200);
  EXPECT_THAT(taken, ElementsAre("own"));
  executor_.RunFor(absl::Hours(2));
  EXPECT_THAT(sender_.sent, IsEmpty());
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"delivered\"} 1"));
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"dropped\"} 1"));
}

TEST_F(AlertWebhookTest, AnOwnAlertThatWaitsForItsRetryWhenTheLeadIsLostKeepsItsTurn) {
  Tell("n1");
  TellOwn();
  executor_.RunDue();
  Answer(503);
  executor_.RunFor(absl::Seconds(1));
  Answer(503);  // The next one is in 2 s.
  LeadNoLonger();
  EXPECT_EQ(webhook_.waiting(), 1u);
  executor_.RunFor(absl::Milliseconds(1999));
  EXPECT_THAT(sender_.sent, IsEmpty());
  executor_.RunFor(absl::Milliseconds(1));
  ASSERT_THAT(Told(), ElementsAre("own firing"));
  TellOwn(/*firing=*/false);
  Answer(200);
  ASSERT_THAT(Told(), ElementsAre("own resolved")) << "the end is the coordinator's own, too";
}

TEST_F(AlertWebhookTest, WhatIsUnderWayWhenTheLeadIsLostCountsAsTakenIfItIs) {
  std::vector<std::string> taken;
  webhook_.SetOnTaken([&taken](const Alert& alert) { taken.push_back(alert.labels().at("node")); });
  Tell("n1");
  TellOwn();
  executor_.RunDue();
  LeadNoLonger();
  Answer(200);
  EXPECT_THAT(taken, ElementsAre("n1", "own"));
  EXPECT_TRUE(HasMetric("meridian_alert_webhook_alerts_total{outcome=\"delivered\"} 2"));
  EXPECT_EQ(webhook_.waiting(), 0u);
}

}  // namespace
}  // namespace meridian
