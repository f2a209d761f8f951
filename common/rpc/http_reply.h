// What an HTTP server of ours is asked and answers (docs/http_api.md), without the server: GETs of
// JSON, errors among them.
//
// Thread safety: values and pure functions.

#ifndef MERIDIAN_COMMON_RPC_HTTP_REPLY_H_
#define MERIDIAN_COMMON_RPC_HTTP_REPLY_H_

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meridian {

inline constexpr char kJsonContent[] = "application/json";
// A header of what a standby asks its leader for somebody else: who is asked asks nobody else.
inline constexpr char kForwardedHeader[] = "Meridian-Forwarded";

struct HttpRequest {
  std::string path = {};           // Decoded, and without "." and "..".
  std::string query = {};          // What is behind the "?", as it came.
  std::string if_none_match = {};  // These two headers as they came; empty: there are none.
  std::string accept_encoding = {};
  bool forwarded = false;  // It has kForwardedHeader.
};

struct HttpReply {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body = {};
  std::string extra_header = {};  // Lines with their "\r\n".
  std::string cache_control = "no-store";
  std::string content_security_policy = "default-src 'none'";
};

// Answers a path of its own; nullopt: it is somebody else's. May wait for 2 s at most, and is
// called by several threads.
using HttpHandler = std::function<std::optional<HttpReply>(const HttpRequest&)>;

HttpReply JsonReply(const nlohmann::ordered_json& body);
// {"error": {"code", "reason", "message"}}.
HttpReply JsonError(int code, std::string_view reason, std::string_view message);

// The parameters of a query; each may be there once.
struct HttpQuery {
  std::map<std::string, std::string> values;
  std::optional<HttpReply> error = {};  // Of a query that cannot be read, or has something unknown.

  // "" when it is not there.
  const std::string& Get(const std::string& name) const;
};

// Reads "a=b&c=d", with %XX and +. `known`: the parameters that there are.
HttpQuery ParseHttpQuery(std::string_view query, const std::vector<std::string>& known);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_HTTP_REPLY_H_
