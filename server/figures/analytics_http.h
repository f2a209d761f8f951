// The four paths of analytics over HTTP, which a node and a coordinator answer alike
// (docs/http_api.md): /v1/cache/stats, /v1/cache/metrics, /v1/analytics/dashboard,
// /v1/cache/status.
//
// Thread safety: pure functions, if `ask` is.

#ifndef MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_
#define MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/rpc/http_reply.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

bool IsAnalyticsPath(std::string_view path);

// What one of the four paths says. REQUIRES: it is one.
nlohmann::ordered_json AnalyticsBody(std::string_view path,
                                     const admin::v1::GetAnalyticsResponse& all);

// What is answered for a namespace (empty: all), or an error.
using AnalyticsSource =
    std::function<std::variant<admin::v1::GetAnalyticsResponse, HttpReply>(const HttpQuery& query)>;

// Of a node. nullopt: the path is none of the four.
std::optional<HttpReply> AnswerAnalytics(const HttpRequest& request, const AnalyticsSource& ask);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_
