// Whether the header Host of a request is one that we answer.
//
// A browser can be led to a loopback port by a page elsewhere, under that page's name: a server
// that listens on loopback only answers to localhost and to addresses in numbers
// (docs/http_api.md). Thread safety: a pure function.

#ifndef MERIDIAN_SERVER_DASHBOARD_HOST_HEADER_H_
#define MERIDIAN_SERVER_DASHBOARD_HOST_HEADER_H_

#include <optional>
#include <string_view>

#include "common/rpc/http_reply.h"

namespace meridian {

// nullopt: the request may be answered. `host`: nullptr when there is none, which HTTP 1.0 allows.
std::optional<HttpReply> RefuseHost(const char* host, std::string_view http_version, bool loopback);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_DASHBOARD_HOST_HEADER_H_
