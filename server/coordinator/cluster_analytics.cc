#include "server/coordinator/cluster_analytics.h"

#include <google/protobuf/util/json_util.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/rpc/error.h"
#include "server/coordinator/field_error.h"
#include "server/figures/namespace_goals.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

using admin::v1::GetAnalyticsResponse;

constexpr absl::Duration kNodeTimeout = absl::Seconds(1);

grpc::Status Overloaded(std::string_view why) {
  return MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason::kOverloaded, why);
}

// What another coordinator answers to kPath; nullopt: that is something else.
std::optional<GetAnalyticsResponse> Parse(const std::string& body) {
  const auto json = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("stats") || !json["stats"].is_object()) {
    return std::nullopt;
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // Of a newer release.
  GetAnalyticsResponse analytics;
  if (!google::protobuf::util::JsonStringToMessage(body, &analytics, options).ok()) {
    return std::nullopt;
  }
  // null is not 0.
  if (json["stats"].contains("ttl_seconds") && json["stats"]["ttl_seconds"].is_null()) {
    constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();
    analytics.mutable_stats()->set_ttl_seconds(kNotKnown);
    analytics.mutable_performance_dashboard()->mutable_cache_efficiency()->set_ttl_seconds(
        kNotKnown);
  }
  return analytics;
}

coordinator::v1::RegionAnalytics Told(const RegionAnswer& answer) {
  coordinator::v1::RegionAnalytics region;
  region.set_region(answer.region);
  region.set_problem(answer.problem);
  if (answer.age.has_value()) region.set_age_seconds(absl::ToDoubleSeconds(*answer.age));
  if (!answer.body.has_value()) return region;
  std::optional<GetAnalyticsResponse> analytics = Parse(*answer.body);
  region.set_known(analytics.has_value());
  if (analytics.has_value()) {
    *region.mutable_analytics() = *std::move(analytics);
  } else {
    region.set_problem("what it answers are no analytics");
  }
  return region;
}

}  // namespace

// The own region and the others, until both are there.
struct ClusterAnalytics::Round {
  int left = 2;
  std::string name_space;
  coordinator::v1::RegionAnalytics own;
  std::vector<RegionAnswer> others;
  bool refused = false;  // The others were not asked.
  Done done;
};

bool ClusterAnalytics::IsKnown(const std::string& name_space) const {
  for (const auto& [id, node] : collector_.figures().nodes()) {
    for (const admin::v1::NamespaceFigures& row : node.figures.namespaces()) {
      if (row.namespace_() == name_space) return true;
    }
  }
  return false;
}

void ClusterAnalytics::Get(const coordinator::v1::GetAnalyticsRequest& request, Done done) {
  const int unknown = request.all_regions() && others_ != nullptr &&
                              !request.namespace_().empty() && !IsKnown(request.namespace_())
                          ? 1
                          : 0;
  if (under_way_ >= kMaxUnderWay) return done(Overloaded("too many calls are under way"), {});
  if (unknown_ + unknown > kMaxUnknown) {
    return done(Overloaded("too many questions about namespaces that nobody here has read are "
                           "under way"),
                {});
  }
  ++under_way_;
  unknown_ += unknown;
  Answer(request, [this, unknown, done = std::move(done)](
                      const grpc::Status& status, coordinator::v1::GetAnalyticsResponse answer) {
    --under_way_;
    unknown_ -= unknown;
    done(status, std::move(answer));
  });
}

void ClusterAnalytics::Answer(const coordinator::v1::GetAnalyticsRequest& request, Done done) {
  if (!request.namespace_().empty()) {
    if (const auto error = limits::CheckNamespace(request.namespace_())) {
      return done(ToGrpcStatus(*error), {});
    }
  }
  if (request.all_regions() && !request.node().empty()) {
    return done(FieldError("node", "one node is of one region: not with all_regions"), {});
  }
  auto round = std::make_shared<Round>();
  round->name_space = request.namespace_();
  round->done = std::move(done);
  const bool all = request.all_regions();
  const grpc::Status status = GetOwn(request.namespace_(), request.node(),
                                     [this, round, all](GetAnalyticsResponse analytics) {
                                       if (all) {
                                         *round->own.mutable_analytics() = std::move(analytics);
                                         return OneIsThere(round);
                                       }
                                       coordinator::v1::GetAnalyticsResponse answer;
                                       *answer.mutable_analytics() = std::move(analytics);
                                       round->done(grpc::Status::OK, std::move(answer));
                                     });
  if (!status.ok()) return round->done(status, {});
  if (!all) return;
  round->own.set_region(coordinator_.options().membership.region);
  round->own.set_known(true);
  round->own.set_age_seconds(0);
  if (others_ == nullptr) return OneIsThere(round);
  const std::string& name_space = request.namespace_();
  const bool asked =
      others_->Ask(name_space.empty() ? kPath : absl::StrCat(kPath, "?namespace=", name_space),
                   [this, round](std::vector<RegionAnswer> answers) {
                     round->others = std::move(answers);
                     OneIsThere(round);
                   });
  if (asked) return;
  round->refused = true;
  OneIsThere(round);
}

grpc::Status ClusterAnalytics::GetOwn(const std::string& name_space, const std::string& node,
                                      OwnDone done) {
  const absl::Duration now = coordinator_.clock().Monotonic();
  std::vector<admin::v1::GetFiguresResponse> figures;
  std::string address;
  for (const auto& [id, one] : collector_.figures().nodes()) {
    if ((!node.empty() && id != node) || !one.IsAlive(now) || !one.answered.has_value()) continue;
    figures.push_back(one.figures);
    address = one.known.member.admin_address;
  }
  if (figures.empty()) {
    if (node.empty()) {
      return ToGrpcStatus(
          FromStatus(absl::UnavailableError("NOT_READY: no node has told its figures yet")));
    }
    return MakeError(grpc::StatusCode::NOT_FOUND, reason::kNodeUnknown,
                     absl::StrCat("no node ", QuoteKey(node), " tells its figures"));
  }
  // The policies are the nodes': one of them says which TTL they give.
  transport_.GetAnalytics(
      address, name_space, kNodeTimeout,
      [this, executor = &coordinator_.executor(), name_space, figures = std::move(figures),
       done = std::move(done)](const absl::StatusOr<GetAnalyticsResponse>& one) mutable {
        std::optional<absl::Duration> ttl;
        if (one.ok()) ttl = absl::Seconds(one->stats().ttl_seconds());
        executor->Post(
            [this, name_space, ttl, figures = std::move(figures), done = std::move(done)] {
              done(AnalyticsOf(figures, {.name_space = name_space,
                                         .ttl = ttl,
                                         .costs = costs_,
                                         .now = coordinator_.clock().Now()}));
            });
      });
  return grpc::Status::OK;
}

void ClusterAnalytics::OneIsThere(const std::shared_ptr<Round>& round) {
  if (--round->left > 0) return;
  if (round->refused) return round->done(Overloaded(OtherRegions::kTooMany), {});
  coordinator::v1::GetAnalyticsResponse answer;
  *answer.add_regions() = std::move(round->own);
  for (const RegionAnswer& other : round->others) *answer.add_regions() = Told(other);
  // Of all regions, as far as its own nodes know.
  const double goal = round->name_space.empty()
                          ? 0
                          : GoalTable(collector_.figures()).Of(round->name_space).hit_rate;
  std::vector<GetAnalyticsResponse> known;
  for (const coordinator::v1::RegionAnalytics& region : answer.regions()) {
    if (region.known()) known.push_back(region.analytics());
  }
  *answer.mutable_analytics() =
      SumOf(known, {.costs = costs_, .now = coordinator_.clock().Now(), .hit_rate_goal = goal});
  round->done(grpc::Status::OK, std::move(answer));
}

}  // namespace meridian
