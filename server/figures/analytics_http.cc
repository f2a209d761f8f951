#include "server/figures/analytics_http.h"

#include <algorithm>
#include <iterator>

#include "common/rpc/proto_json.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

constexpr std::string_view kPaths[] = {"/v1/cache/stats", "/v1/cache/metrics",
                                       "/v1/analytics/dashboard", "/v1/cache/status"};

}  // namespace

bool IsAnalyticsPath(std::string_view path) {
  return std::find(std::begin(kPaths), std::end(kPaths), path) != std::end(kPaths);
}

nlohmann::ordered_json AnalyticsBody(std::string_view path,
                                     const admin::v1::GetAnalyticsResponse& all) {
  if (path == "/v1/cache/stats") return ToJson(all.stats());
  if (path == "/v1/cache/status") return ToJson(all.status());
  nlohmann::ordered_json body;
  if (path == "/v1/cache/metrics") {
    body["performance_dashboard"] = ToJson(all.performance_dashboard());
    return body;
  }
  body["cache_performance"] = ToJson(all.cache_performance());
  body["total_time_saved"] = ToJson(all.total_time_saved());
  body["cost_savings"] = ToJson(all.cost_savings());
  body["cache_infrastructure"] = ToJson(all.cache_infrastructure());
  body["optimization_recommendations"] = nlohmann::ordered_json::array();
  for (const std::string& text : all.optimization_recommendations()) {
    body["optimization_recommendations"].push_back(text);
  }
  return body;
}

std::optional<HttpReply> AnswerAnalytics(const HttpRequest& request, const AnalyticsSource& ask) {
  if (!IsAnalyticsPath(request.path)) return std::nullopt;
  HttpQuery query = ParseHttpQuery(request.query, {"namespace"});
  if (query.error.has_value()) return std::move(query.error);
  if (!query.Get("namespace").empty()) {
    if (const auto error = limits::CheckNamespace(query.Get("namespace"))) {
      return JsonError(400, "QUERY_INVALID", error->message);
    }
  }
  const std::variant<admin::v1::GetAnalyticsResponse, HttpReply> answer = ask(query);
  if (const auto* error = std::get_if<HttpReply>(&answer)) return *error;
  return JsonReply(AnalyticsBody(request.path, std::get<admin::v1::GetAnalyticsResponse>(answer)));
}

}  // namespace meridian
