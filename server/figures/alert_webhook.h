// AlertWebhook tells an HTTP receiver which alerts begin and end to fire, as Alertmanager's webhook
// does (version 4 of its JSON).
//
// Promise: one request at a time; what happens meanwhile is told together, of one alert only how it
//   is then. A receiver that is away, too slow, busy (408, 429) or broken (5xx) is asked again,
//   later and later, up to kMaxAge after the alert; any other answer but 2xx refuses what was sent,
//   and is not repeated: redirects are not followed. Of more than kMaxWaiting alerts the oldest are
//   dropped.
// A coordinator that ceases to lead keeps its own alerts (KeepOnly): nobody else goes on with them.
// Delivery is at least once: a receiver that took the alerts and did not say so gets them again,
//   with the same fingerprints.
// Thread safety: all on the executor, after the constructor; waiting() by any thread. REQUIRES: the
//   executor is stopped before this is destroyed, and outlives the sender's callbacks.

#ifndef MERIDIAN_SERVER_FIGURES_ALERT_WEBHOOK_H_
#define MERIDIAN_SERVER_FIGURES_ALERT_WEBHOOK_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "common/resilience/backoff.h"
#include "common/telemetry/metric_registry.h"
#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/figures/http_sender.h"

namespace meridian {

struct AlertWebhookOptions {
  HttpUrl url = {};
  std::string region = {};        // A label of each alert.
  std::string external_url = {};  // Where people see more.
  absl::Duration timeout = absl::Seconds(5);
  BackoffOptions backoff = {.initial = absl::Seconds(1), .max = absl::Minutes(2)};
};

// The body of one request. REQUIRES: there are alerts.
std::string AlertWebhookBody(const AlertWebhookOptions& options,
                             const std::vector<coordinator::v1::Alert>& alerts);

class AlertWebhook {
 public:
  static constexpr absl::Duration kMaxAge = absl::Hours(1);
  static constexpr size_t kMaxWaiting = 1000;
  static constexpr size_t kMaxBatch = 100;

  // In [0, 1).
  using Random = std::function<double()>;
  // Called when it begins to fail, fails for another reason, or is well again (empty).
  using OnProblem = std::function<void(std::string_view problem)>;

  // References outlive this; the registry's last use is before this goes.
  AlertWebhook(AlertWebhookOptions options, const Clock& clock, Executor& executor,
               HttpSender& sender, MetricRegistry& registry, Random random, OnProblem on_problem);

  // Who is to know that the receiver took an alert. REQUIRES: before the first Tell.
  void SetOnTaken(std::function<void(const coordinator::v1::Alert&)> on_taken) {
    on_taken_ = std::move(on_taken);
  }

  // An alert has begun or ended to fire.
  void Tell(const coordinator::v1::Alert& alert);
  // Somebody else leads, and goes on with all but what is `kept`. A request that is under way is
  // not taken back; what it did not bring is told again only if it is kept.
  void KeepOnly(const std::function<bool(const coordinator::v1::Alert&)>& kept);

  // Those under way included.
  size_t waiting() const { return waiting_count_; }

 private:
  struct Waiting {
    std::string key;  // Of the alert: name and labels.
    coordinator::v1::Alert alert;
    absl::Duration since;
    bool is_others = false;  // Whoever leads now goes on with it.
  };

  void SendSoon(absl::Duration delay);
  void Send();
  void Answered(const absl::StatusOr<HttpAnswer>& answer);
  // What could not be told is to be told again, unless the alert has changed since.
  void TellAgain(std::vector<Waiting> batch);
  void Count(std::string_view outcome, size_t alerts);
  void CountWaiting() { waiting_count_ = waiting_.size() + in_flight_.size(); }
  void SetProblem(std::string problem);

  const AlertWebhookOptions options_;
  const Clock& clock_;
  Executor& executor_;
  HttpSender& sender_;
  CounterFamily& requests_;
  CounterFamily& alerts_;
  const Random random_;
  const OnProblem on_problem_;
  std::function<void(const coordinator::v1::Alert&)> on_taken_;
  Backoff backoff_;
  std::deque<Waiting> waiting_;  // Oldest first.
  std::atomic<size_t> waiting_count_{0};
  std::vector<Waiting> in_flight_;  // In the request that is under way; empty: there is none.
  bool scheduled_ = false;          // Send will run.
  std::string problem_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ALERT_WEBHOOK_H_
