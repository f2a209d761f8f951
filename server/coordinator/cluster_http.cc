#include "server/coordinator/cluster_http.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/strings.h"
#include "common/rpc/error.h"
#include "common/rpc/proto_json.h"
#include "common/rpc/reasons.h"
#include "server/coordinator/cluster_scope.h"
#include "server/coordinator/hot_key_calls.h"
#include "server/coordinator/policy_calls.h"
#include "server/coordinator/warming_json.h"
#include "server/figures/analytics_http.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

constexpr uint32_t kMaxRollouts = 20;
constexpr char kPaths[] = "/v1/cluster/";  // That know ?scope=.
constexpr uint32_t kDefaultHotKeys = 50;

// What the HTTP thread waits for. Shared: the answer may come after it has gone.
template <typename T>
struct Waiting {
  absl::Notification there;
  std::optional<T> value;
};

HttpReply NotReady(std::string_view why) { return JsonError(503, "NOT_READY", why); }

// Whether it can stand in a request line: paths are decoded.
bool IsPlain(std::string_view target) {
  return std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

std::string TargetOf(const HttpRequest& request) {
  return absl::StrCat(request.path, request.query.empty() ? "" : "?", request.query);
}

HttpReply ErrorOf(const grpc::Status& status) {
  const Error error = FromGrpcStatus(status);
  if (error.code == grpc::StatusCode::NOT_FOUND) return JsonError(404, error.reason, error.message);
  if (error.code == grpc::StatusCode::RESOURCE_EXHAUSTED) {
    return JsonError(503, error.reason, error.message);
  }
  const bool callers = error.code == grpc::StatusCode::INVALID_ARGUMENT;
  return JsonError(callers ? 400 : 503, callers ? "QUERY_INVALID" : "NOT_READY", error.message);
}

ordered_json BodyOf(std::string_view path, const admin::v1::GetAnalyticsResponse& all) {
  return path == ClusterAnalytics::kPath ? ToJson(all) : AnalyticsBody(path, all);
}

// As ClusterReply tells of them, behind the sums.
void PutRegions(std::string_view path, const coordinator::v1::GetAnalyticsResponse& answer,
                ordered_json* body) {
  ordered_json list = ordered_json::array();
  int known = 0;
  for (const coordinator::v1::RegionAnalytics& region : answer.regions()) {
    known += region.known() ? 1 : 0;
    ordered_json one = {{"region", region.region()},
                        {"known", region.known()},
                        {"age_seconds", nullptr},
                        {"problem", region.problem()},
                        {"answer", nullptr}};
    if (region.has_age_seconds()) one["age_seconds"] = region.age_seconds();
    if (region.known()) one["answer"] = BodyOf(path, region.analytics());
    list.push_back(std::move(one));
  }
  (*body)["scope"] = "cluster";
  (*body)["regions_total"] = list.size();
  (*body)["regions_known"] = known;
  (*body)["regions"] = std::move(list);
}

}  // namespace

ClusterHttp::ClusterHttp(const Parts& parts)
    : parts_(parts), started_(parts.coordinator.clock().Monotonic()) {}

HttpReply ClusterHttp::NotLeading(const LeaderView& leader) {
  if (leader.leading) return NotReady("it has begun to lead a moment ago");
  return JsonError(
      503, "NOT_LEADER",
      leader.address.empty()
          ? absl::StrCat("no leader is known", leader.problem.empty() ? "" : ": ", leader.problem)
          : absl::StrCat("the coordinator at ", leader.address, " leads the region"));
}

HttpReply ClusterHttp::Ask(std::function<void(Done done)> ask, bool without_leader) {
  auto waiting = std::make_shared<Waiting<HttpReply>>();
  parts_.coordinator.executor().Post([this, waiting, ask = std::move(ask), without_leader] {
    const Done done = [waiting](HttpReply reply) {
      waiting->value = std::move(reply);
      waiting->there.Notify();
    };
    const LeaderView leader = parts_.coordinator.leader();
    const bool nobody = !leader.leading && leader.address.empty();
    if ((leader.leading && parts_.collector.leading()) || (without_leader && nobody)) {
      ask(done);
    } else {
      done(NotLeading(leader));
    }
  });
  if (!waiting->there.WaitForNotificationWithTimeout(kPatience)) {
    return NotReady("no answer within 2 s");
  }
  return *std::move(waiting->value);
}

std::optional<HttpReply> ClusterHttp::Forward(const HttpRequest& request) {
  if (forward_ == nullptr || request.forwarded) return std::nullopt;
  const LeaderView leader = parts_.coordinator.leader();
  std::string target = TargetOf(request);
  if (leader.leading || leader.http_address.empty() || !IsPlain(target)) return std::nullopt;
  auto waiting = std::make_shared<Waiting<HttpReply>>();
  parts_.coordinator.executor().Post([this, waiting, leader, target = std::move(target)] {
    forward_->Ask(leader, target, [waiting](HttpReply reply) {
      waiting->value = std::move(reply);
      waiting->there.Notify();
    });
  });
  if (!waiting->there.WaitForNotificationWithTimeout(kPatience)) {
    return NotReady("no answer within 2 s");
  }
  return *std::move(waiting->value);
}

struct ClusterHttp::Others {
  Waiting<std::vector<RegionAnswer>> answers;
};

std::shared_ptr<ClusterHttp::Others> ClusterHttp::AskOthers(const std::string& target) {
  auto others = std::make_shared<Others>();
  parts_.coordinator.executor().Post([this, others, target] {
    const auto done = [others](std::vector<RegionAnswer> answers) {
      others->answers.value = std::move(answers);
      others->answers.there.Notify();
    };
    if (others_ == nullptr) return done({});
    if (!others_->Ask(target, done)) others->answers.there.Notify();  // Without an answer.
  });
  return others;
}

std::optional<HttpReply> ClusterHttp::Answer(const HttpRequest& request) {
  const bool analytics = IsAnalyticsPath(request.path) || request.path == ClusterAnalytics::kPath;
  if (!analytics && !absl::StartsWith(request.path, kPaths)) return std::nullopt;
  if (std::optional<HttpReply> reply = Forward(request); reply.has_value()) return reply;
  std::variant<ScopedQuery, HttpReply> scope = TakeScope(request.query);
  if (auto* error = std::get_if<HttpReply>(&scope)) return std::move(*error);
  HttpRequest own = request;
  own.query = std::get<ScopedQuery>(scope).rest;
  const bool cluster = std::get<ScopedQuery>(scope).cluster;
  if (analytics) return Analytics(own, cluster);
  if (!cluster) return AnswerRegion(own);
  const absl::Duration until = parts_.coordinator.clock().Monotonic() + kPatience;
  std::optional<HttpReply> reply = AnswerRegion(own);
  if (!reply.has_value() || reply->code != 200) return reply;
  const std::shared_ptr<Others> others = AskOthers(TargetOf(own));
  std::vector<RegionAnswer> regions = {{.region = parts_.coordinator.options().membership.region,
                                        .body = std::move(reply->body),
                                        .age = absl::ZeroDuration()}};
  const absl::Duration left =
      std::max(until - parts_.coordinator.clock().Monotonic(), absl::ZeroDuration());
  if (!others->answers.there.WaitForNotificationWithTimeout(left)) {
    return NotReady("no answer within 2 s");
  }
  if (!others->answers.value.has_value()) {
    return JsonError(503, reason::kOverloaded, OtherRegions::kTooMany);
  }
  for (RegionAnswer& other : *others->answers.value) regions.push_back(std::move(other));
  return ClusterReply(regions, own.path == "/v1/cluster/overview",
                      parts_.coordinator.clock().Now());
}

std::optional<HttpReply> ClusterHttp::AnswerRegion(const HttpRequest& request) {
  const std::string& path = request.path;
  const auto answer = [&](const std::vector<std::string>& known,
                          std::function<void(const HttpQuery&, Done)> ask) -> HttpReply {
    // By value: the executor may look at it when nobody waits any more.
    HttpQuery query = ParseHttpQuery(request.query, known);
    if (query.error.has_value()) return *std::move(query.error);
    return Ask([query = std::move(query), ask = std::move(ask)](Done done) {
      ask(query, std::move(done));
    });
  };
  if (path == "/v1/cluster/overview") {
    return answer({}, [this](const HttpQuery&, const Done& done) { done(Overview()); });
  }
  if (path == "/v1/cluster/ring") {
    return answer({}, [this](const HttpQuery&, const Done& done) { done(Ring()); });
  }
  if (path == "/v1/cluster/warming") {
    return answer({}, [this](const HttpQuery&, const Done& done) { done(Warming()); });
  }
  if (path == "/v1/cluster/rollouts") {
    return answer({}, [this](const HttpQuery&, const Done& done) { done(Rollouts()); });
  }
  if (path == "/v1/cluster/alerts") {
    HttpQuery query = ParseHttpQuery(request.query, {});
    if (query.error.has_value()) return std::move(query.error);
    return Ask([this](const Done& done) { done(Alerts()); }, /*without_leader=*/true);
  }
  if (path == "/v1/cluster/recommendations") {
    return answer({"namespace"}, [this](const HttpQuery& query, const Done& done) {
      const std::string& name_space = query.Get("namespace");
      if (const auto error = limits::CheckNamespace(name_space);
          error.has_value() && !name_space.empty()) {
        done(JsonError(400, "QUERY_INVALID", error->message));
        return;
      }
      coordinator::v1::ListRecommendationsResponse response;
      for (coordinator::v1::Recommendation& row : parts_.advisor.Recommend(name_space)) {
        *response.add_recommendations() = std::move(row);
      }
      done(JsonReply(ToJson(response)));
    });
  }
  if (path == "/v1/cluster/hotkeys") {
    return answer({"limit", "namespace"},
                  [this](const HttpQuery& query, Done done) { HotKeys(query, std::move(done)); });
  }
  return std::nullopt;
}

HttpReply ClusterHttp::Analytics(const HttpRequest& request, bool cluster) {
  HttpQuery query = ParseHttpQuery(request.query, {"namespace", "node"});
  if (query.error.has_value()) return *std::move(query.error);
  coordinator::v1::GetAnalyticsRequest asked;
  asked.set_namespace_(query.Get("namespace"));
  asked.set_node(query.Get("node"));
  asked.set_all_regions(cluster);
  return Ask([this, asked, path = request.path, cluster](Done done) {
    parts_.analytics.Get(asked, [path, cluster, done = std::move(done)](
                                    const grpc::Status& status,
                                    const coordinator::v1::GetAnalyticsResponse& answer) {
      if (!status.ok()) return done(ErrorOf(status));
      ordered_json body = BodyOf(path, answer.analytics());
      if (cluster) PutRegions(path, answer, &body);
      done(JsonReply(body));
    });
  });
}

HttpReply ClusterHttp::Alerts() const {
  coordinator::v1::ListAlertsResponse response;
  for (coordinator::v1::Alert& alert : parts_.alerts.List(/*include_resolved=*/true)) {
    *response.add_alerts() = std::move(alert);
  }
  return JsonReply(ToJson(response));
}

HttpReply ClusterHttp::Overview() {
  const RegionFigures& figures = parts_.collector.figures();
  if (figures.series().empty()) return NotReady("no figures yet");
  if (overview_of_ == figures.series().back().at) return overview_;
  const Coordinator& coordinator = parts_.coordinator;
  OverviewFrame frame;
  frame.region = coordinator.options().membership.region;
  frame.coordinator = coordinator.options().id;
  frame.epoch = coordinator.topology()->epoch();
  frame.uptime = coordinator.clock().Monotonic() - started_;
  frame.costs = parts_.analytics.costs();
  const AlertBook::Counts alerts = parts_.alerts.Count();
  frame.alerts_pending = alerts.pending;
  frame.alerts_firing = alerts.firing;
  frame.alerts_critical = alerts.critical;
  frame.recommendations = parts_.advisor.Recommend("").size();
  ordered_json json =
      OverviewJson(figures, frame, coordinator.clock().Monotonic(), coordinator.clock().Now());
  if (presence_ != nullptr) json["coordinators"] = presence_->ToJson();
  overview_ = JsonReply(json);
  overview_of_ = figures.series().back().at;
  return overview_;
}

HttpReply ClusterHttp::Ring() const {
  const TopologyHolder::Snapshot topology = parts_.coordinator.topology();
  std::vector<uint32_t> slots(topology->members().size());
  ordered_json owners = ordered_json::array();
  for (uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const uint16_t owner = topology->OwnerIndex(slot);
    owners.push_back(owner == Topology::kNoOwner ? -1 : static_cast<int>(owner));
    if (owner != Topology::kNoOwner) ++slots[owner];
  }
  double weight = 0;
  for (const Member& member : topology->members()) {
    if (member.state == MemberState::kServing) weight += member.weight;
  }
  ordered_json json;
  json["epoch"] = topology->epoch();
  json["region"] = topology->region();
  json["slots"] = kSlotCount;
  json["members"] = ordered_json::array();
  for (size_t i = 0; i < slots.size(); ++i) {
    const Member& member = topology->members()[i];
    const double mean = weight > 0 ? kSlotCount * member.weight / weight : 0;
    json["members"].push_back({{"id", member.id},
                               {"state", StateName(member.state)},
                               {"weight", member.weight},
                               {"slots", slots[i]},
                               {"load", mean > 0 ? slots[i] / mean : 0.0},
                               {"data_address", member.data_address}});
  }
  json["owners"] = std::move(owners);
  return JsonReply(json);
}

void ClusterHttp::HotKeys(const HttpQuery& query, Done done) {
  coordinator::v1::ListHotKeysRequest request;
  uint32_t limit = kDefaultHotKeys;
  const std::string& asked = query.Get("limit");
  if (!asked.empty() &&
      (!absl::SimpleAtoi(asked, &limit) || limit < 1 || limit > limits::kMaxHotKeys)) {
    done(JsonError(400, "QUERY_INVALID",
                   absl::StrCat("limit: ", asked, " is not in 1..", limits::kMaxHotKeys)));
    return;
  }
  request.set_limit(limit);
  request.set_namespace_(query.Get("namespace"));
  auto response = std::make_shared<coordinator::v1::ListHotKeysResponse>();
  meridian::ListHotKeys(parts_.hot_keys, request, response.get(),
                        [response, done = std::move(done)](const grpc::Status& status) {
                          done(status.ok() ? JsonReply(ToJson(*response)) : ErrorOf(status));
                        });
}

HttpReply ClusterHttp::Warming() {
  const Clock& clock = parts_.coordinator.clock();
  const absl::StatusOr<ordered_json> json = WarmingJson(
      parts_.warmer, parts_.collector.figures().Answers(clock.Monotonic()), clock.Now());
  return json.ok() ? JsonReply(*json) : NotReady(ToStd(json.status().message()));
}

HttpReply ClusterHttp::Rollouts() const {
  coordinator::v1::ListRolloutsRequest request;
  request.set_page_size(kMaxRollouts);
  coordinator::v1::ListRolloutsResponse response;
  const grpc::Status status =
      meridian::ListRollouts(parts_.rollouts.rollouts(), request, &response);
  if (!status.ok()) return ErrorOf(status);
  ordered_json json;
  json["rollouts"] = ToJson(response)["rollouts"];
  return JsonReply(json);
}

}  // namespace meridian
