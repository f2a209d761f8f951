// The dashboard page over HTTP: / and /assets/, from the program itself.
//
// Promise: the paths of PageAssets() and no others, so that a path can lead nowhere else; scripts,
//   styles and data from this server alone, nothing inline (Content-Security-Policy); browsers ask
//   each time whether their copy is good (ETag) and get no bytes when it is.
// Thread safety: a pure function.

#ifndef MERIDIAN_SERVER_DASHBOARD_PAGE_HTTP_H_
#define MERIDIAN_SERVER_DASHBOARD_PAGE_HTTP_H_

#include <optional>

#include "common/rpc/http_reply.h"

namespace meridian {

// nullopt: the path is none of the page's.
std::optional<HttpReply> AnswerPage(const HttpRequest& request);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_DASHBOARD_PAGE_HTTP_H_
