#include "server/figures/alert_webhook.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"
#include "common/rpc/timestamp.h"
#include "server/figures/alert_book.h"

namespace meridian {
namespace {

using coordinator::v1::Alert;
using nlohmann::ordered_json;

// As Go writes a time that is not set.
constexpr char kNoTime[] = "0001-01-01T00:00:00Z";

std::map<std::string, std::string> LabelsOf(const AlertWebhookOptions& options,
                                            const Alert& alert) {
  std::map<std::string, std::string> labels(alert.labels().begin(), alert.labels().end());
  labels["alertname"] = alert.name();
  labels["severity"] = alert.severity();
  labels.emplace("region", options.region);  // One of the alert's own stays.
  return labels;
}

std::map<std::string, std::string> AnnotationsOf(const Alert& alert) {
  return {{"summary", alert.summary()},
          {"runbook", alert.runbook()},
          {"value", absl::StrCat(alert.value())}};
}

// What all have alike.
void Intersect(const std::map<std::string, std::string>& other,
               std::map<std::string, std::string>* common) {
  for (auto it = common->begin(); it != common->end();) {
    const auto found = other.find(it->first);
    it = found == other.end() || found->second != it->second ? common->erase(it) : std::next(it);
  }
}

bool IsWorthRepeating(int code) { return code == 408 || code == 429 || code >= 500; }

}  // namespace

std::string AlertWebhookBody(const AlertWebhookOptions& options, const std::vector<Alert>& alerts) {
  std::map<std::string, std::string> common_labels = LabelsOf(options, alerts[0]);
  std::map<std::string, std::string> common_annotations = AnnotationsOf(alerts[0]);
  bool firing = false;
  ordered_json list = ordered_json::array();
  for (const Alert& alert : alerts) {
    const std::map<std::string, std::string> labels = LabelsOf(options, alert);
    const std::map<std::string, std::string> annotations = AnnotationsOf(alert);
    Intersect(labels, &common_labels);
    Intersect(annotations, &common_annotations);
    const bool fires = alert.state() == "firing";
    firing |= fires;
    list.push_back({{"status", fires ? "firing" : "resolved"},
                    {"labels", labels},
                    {"annotations", annotations},
                    {"startsAt", Rfc3339(FromProto(alert.since()))},
                    {"endsAt", fires ? kNoTime : Rfc3339(FromProto(alert.resolved_time()))},
                    {"generatorURL", options.external_url},
                    {"fingerprint", absl::StrCat(absl::Hex(
                                        Hash64(absl::StrCat(options.region, "\n", AlertKey(alert))),
                                        absl::kZeroPad16))}});
  }
  ordered_json body;
  body["version"] = "4";
  body["groupKey"] = absl::StrCat("{}:{region=\"", options.region, "\"}");
  body["truncatedAlerts"] = 0;
  body["status"] = firing ? "firing" : "resolved";
  body["receiver"] = "meridian";
  body["groupLabels"] = {{"region", options.region}};
  body["commonLabels"] = common_labels;
  body["commonAnnotations"] = common_annotations;
  body["externalURL"] = options.external_url;
  body["alerts"] = std::move(list);
  // A reason may have bytes of somebody else in it.
  return body.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

AlertWebhook::AlertWebhook(AlertWebhookOptions options, const Clock& clock, Executor& executor,
                           HttpSender& sender, MetricRegistry& registry, Random random,
                           OnProblem on_problem)
    : options_(std::move(options)),
      clock_(clock),
      executor_(executor),
      sender_(sender),
      requests_(registry.AddCounters({"meridian_alert_webhook_requests_total",
                                      "Requests to the receiver of alerts, by what became of them.",
                                      {"outcome"}})),
      alerts_(registry.AddCounters({"meridian_alert_webhook_alerts_total",
                                    "Alerts for the receiver, by what became of them.",
                                    {"outcome"}})),
      random_(std::move(random)),
      on_problem_(std::move(on_problem)),
      backoff_(options_.backoff) {
  registry.AddGauge("meridian_alert_webhook_waiting", "Alerts that the receiver has not taken yet.",
                    [this] { return static_cast<double>(waiting()); });
}

void AlertWebhook::Tell(const Alert& alert) {
  const std::string key = AlertKey(alert);
  const auto same = std::find_if(waiting_.begin(), waiting_.end(),
                                 [&key](const Waiting& one) { return one.key == key; });
  if (same != waiting_.end()) waiting_.erase(same);
  if (waiting_.size() >= kMaxWaiting) {
    waiting_.pop_front();
    alerts_.With({"dropped"}).Add();
  }
  waiting_.push_back({key, alert, clock_.Monotonic()});
  CountWaiting();
  SendSoon(absl::ZeroDuration());
}

void AlertWebhook::KeepOnly(const std::function<bool(const Alert&)>& kept) {
  const size_t others =
      std::erase_if(waiting_, [&kept](const Waiting& one) { return !kept(one.alert); });
  if (others > 0) alerts_.With({"dropped"}).Add(others);
  for (Waiting& one : in_flight_) one.is_others |= !kept(one.alert);
  CountWaiting();
}

// As a task: whoever tells of several in a row has told all by then.
void AlertWebhook::SendSoon(absl::Duration delay) {
  if (!in_flight_.empty() || scheduled_) return;
  scheduled_ = true;
  executor_.PostAfter(delay, [this] {
    scheduled_ = false;
    Send();
  });
}

void AlertWebhook::Send() {
  if (waiting_.empty()) return;
  std::vector<Alert> alerts;
  while (!waiting_.empty() && in_flight_.size() < kMaxBatch) {
    alerts.push_back(waiting_.front().alert);
    in_flight_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  HttpCall call = {.url = options_.url,
                   .body = AlertWebhookBody(options_, alerts),
                   .timeout = options_.timeout,
                   .max_answer_bytes = size_t{64} << 10};
  sender_.Send(std::move(call), [this, executor = &executor_](absl::StatusOr<HttpAnswer> answer) {
    executor->Post([this, answer = std::move(answer)] {
      Answered(answer);
      CountWaiting();
    });
  });
}

void AlertWebhook::Answered(const absl::StatusOr<HttpAnswer>& answer) {
  std::vector<Waiting> batch = std::exchange(in_flight_, {});
  if (answer.ok() && answer->code >= 200 && answer->code < 300) {
    backoff_.Reset();
    Count("delivered", batch.size());
    for (const Waiting& one : batch) {
      if (on_taken_ != nullptr) on_taken_(one.alert);
    }
    SetProblem("");
    if (!waiting_.empty()) SendSoon(absl::ZeroDuration());
    return;
  }
  if (answer.ok() && !IsWorthRepeating(answer->code)) {
    backoff_.Reset();
    Count("refused", batch.size());
    SetProblem(absl::StrCat("it refuses what it is sent: HTTP ", answer->code));
    if (!waiting_.empty()) SendSoon(absl::ZeroDuration());
    return;
  }
  requests_.With({"failed"}).Add();
  SetProblem(answer.ok() ? absl::StrCat("HTTP ", answer->code)
                         : std::string(answer.status().message()));
  TellAgain(std::move(batch));
  if (!waiting_.empty()) SendSoon(backoff_.Next(random_()));
}

void AlertWebhook::TellAgain(std::vector<Waiting> batch) {
  const absl::Duration now = clock_.Monotonic();
  std::reverse(batch.begin(), batch.end());
  for (Waiting& one : batch) {
    const bool changed = std::any_of(waiting_.begin(), waiting_.end(),
                                     [&one](const Waiting& w) { return w.key == one.key; });
    if (changed) continue;
    if (one.is_others || now - one.since > kMaxAge || waiting_.size() >= kMaxWaiting) {
      alerts_.With({"dropped"}).Add();
    } else {
      waiting_.push_front(std::move(one));
    }
  }
}

void AlertWebhook::Count(std::string_view outcome, size_t alerts) {
  requests_.With({outcome}).Add();
  alerts_.With({outcome}).Add(alerts);
}

void AlertWebhook::SetProblem(std::string problem) {
  if (problem == problem_) return;
  problem_ = std::move(problem);
  if (on_problem_ != nullptr) on_problem_(problem_);
}

}  // namespace meridian
