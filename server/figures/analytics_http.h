// The four paths of analytics over HTTP, which a node and a coordinator answer alike
// (docs/http_api.md): /v1/cache/stats, /v1/cache/metrics, /v1/analytics/dashboard,
// /v1/cache/status.
//
// Thread safety: a pure function, if `ask` is.

#ifndef MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_
#define MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_

#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "common/rpc/http_reply.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian {

// What is answered for a namespace (empty: all), or an error.
using AnalyticsSource =
    std::function<std::variant<admin::v1::GetAnalyticsResponse, HttpReply>(const HttpQuery& query)>;

// nullopt: the path is none of the four. `by_node`: the parameter `node` is known, too.
std::optional<HttpReply> AnswerAnalytics(const HttpRequest& request, bool by_node,
                                         const AnalyticsSource& ask);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_ANALYTICS_HTTP_H_
