// ClusterHttp answers /v1/cluster/* and the four paths of analytics for a whole region
// (docs/http_api.md): on the coordinator that leads it by itself, on a standby with what the leader
// answers.
//
// Promise: nothing is changed; an answer, or 503, after 2 s at most. What all dashboards ask for is
//   made once a second, however many they are. While nobody leads each standby tells of that by
//   its alerts.
// Thread safety: Answer may be called by any thread but the executor's; the rest of what is here
//   runs on the executor. REQUIRES: no Answer is under way when the executor is stopped.

#ifndef MERIDIAN_SERVER_COORDINATOR_CLUSTER_HTTP_H_
#define MERIDIAN_SERVER_COORDINATOR_CLUSTER_HTTP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "common/rpc/http_reply.h"
#include "server/coordinator/cluster_analytics.h"
#include "server/coordinator/coordinator.h"
#include "server/coordinator/hot_key_lead.h"
#include "server/coordinator/leader_forward.h"
#include "server/coordinator/presence_lead.h"
#include "server/coordinator/rollout_lead.h"
#include "server/figures/advisor.h"
#include "server/figures/alert_book.h"
#include "server/figures/figure_collector.h"
#include "server/figures/other_regions.h"
#include "server/figures/overview_json.h"
#include "server/warming/warmer.h"

namespace meridian {

class ClusterHttp {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(2);

  // Nothing is owned; all outlives this.
  struct Parts {
    Coordinator& coordinator;
    Warmer& warmer;
    HotKeyLead& hot_keys;
    RolloutLead& rollouts;
    FigureCollector& collector;
    ClusterAnalytics& analytics;
    const AlertBook& alerts;
    const Advisor& advisor;
  };

  explicit ClusterHttp(const Parts& parts);

  // Whom ?scope=cluster asks, too; without them there is only this region. REQUIRES: before the
  // first Answer.
  void SetOtherRegions(OtherRegions* others) { others_ = others; }

  // How a standby asks the leader; without it, it answers who that is. REQUIRES: before the first
  // Answer.
  void SetForward(LeaderForward* forward) { forward_ = forward; }

  // Who is there, for the overview; without it, that does not say. REQUIRES: before the first
  // Answer.
  void SetPresence(const PresenceLead* presence) { presence_ = presence; }

  // nullopt: the path is none of these.
  std::optional<HttpReply> Answer(const HttpRequest& request);

 private:
  using Done = std::function<void(HttpReply)>;

  // What other regions answer, when they have.
  struct Others;

  // What the leader answers; nullopt: this coordinator is to.
  std::optional<HttpReply> Forward(const HttpRequest& request);
  // Of this region alone.
  std::optional<HttpReply> AnswerRegion(const HttpRequest& request);
  std::shared_ptr<Others> AskOthers(const std::string& target);

  // Runs `ask` on the executor of the leader and waits for what it gives to `done`;
  // `without_leader`: of any coordinator, while it knows of none that leads.
  HttpReply Ask(std::function<void(Done done)> ask, bool without_leader = false);
  static HttpReply NotLeading(const LeaderView& leader);
  HttpReply Alerts() const;

  HttpReply Analytics(const HttpRequest& request, bool cluster);
  HttpReply Overview();
  HttpReply Ring() const;
  void HotKeys(const HttpQuery& query, Done done);
  HttpReply Warming();
  HttpReply Rollouts() const;

  const Parts parts_;
  const absl::Duration started_;
  OtherRegions* others_ = nullptr;  // nullptr: none are known.
  LeaderForward* forward_ = nullptr;
  const PresenceLead* presence_ = nullptr;
  // What was made of the last second. On the executor.
  absl::Time overview_of_ = absl::InfinitePast();
  HttpReply overview_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_CLUSTER_HTTP_H_
