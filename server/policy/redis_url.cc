#include "server/policy/redis_url.h"

#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr uint64_t kMaxDatabase = std::numeric_limits<uint32_t>::max();

absl::Status Invalid(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "Redis URL: ", ToAbsl(what), "; expected redis://[user:password@]host[:port][/db]"));
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size()) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(high << 4 | low));
    i += 2;
  }
  return decoded;
}

absl::Status ParseCredentials(std::string_view text, RedisUrl* url) {
  const size_t colon = text.find(':');
  const auto user = PercentDecode(text.substr(0, colon));
  const auto password =
      PercentDecode(colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1));
  if (!user || !password) return Invalid("bad percent-encoding in the credentials");
  if (!user->empty() && password->empty()) return Invalid("a user without a password");
  url->user = *user;
  url->password = *password;
  return absl::OkStatus();
}

absl::Status ParsePort(std::string_view text, RedisUrl* url) {
  const absl::StatusOr<uint64_t> port = ParseInteger(text, 1, 65535);
  if (!port.ok()) return Invalid("the port must be 1-65535");
  url->port = static_cast<uint16_t>(*port);
  return absl::OkStatus();
}

absl::Status ParseDatabase(std::string_view text, RedisUrl* url) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<uint64_t> database = ParseInteger(text, 0, kMaxDatabase);
  if (!database.ok()) return Invalid("the database must be a number");
  url->database = static_cast<uint32_t>(*database);
  return absl::OkStatus();
}

absl::Status ParseHostPort(std::string_view text, RedisUrl* url) {
  std::string_view rest;
  if (!text.empty() && text.front() == '[') {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return Invalid("'[' without ']'");
    url->host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!rest.empty() && rest.front() != ':') return Invalid("unexpected text after ']'");
  } else {
    const size_t colon = text.find(':');
    url->host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
  }
  if (url->host.empty()) return Invalid("no host");
  for (const char c : url->host) {
    if (c <= ' ' || c == 0x7f) return Invalid("the host has a space or control character");
  }
  return rest.empty() ? absl::OkStatus() : ParsePort(rest.substr(1), url);
}

}  // namespace

std::string RedisUrl::address() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  return ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<RedisUrl> ParseRedisUrl(std::string_view text) {
  const size_t scheme_end = text.find("://");
  if (scheme_end == std::string_view::npos) return Invalid("no scheme");
  const std::string_view scheme = text.substr(0, scheme_end);
  if (scheme == "rediss" || scheme == "redis+sentinel" || scheme == "redis+cluster") {
    return absl::UnimplementedError(absl::StrCat("Redis URL: the scheme ", ToAbsl(scheme),
                                                 ":// is not built yet; use redis://"));
  }
  if (scheme != "redis") return Invalid("unknown scheme");

  RedisUrl url;
  std::string_view rest = text.substr(scheme_end + 3);
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return Invalid("no query and no fragment is known");
  }
  // The last '@': a password may hold one that somebody forgot to encode.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    RETURN_IF_ERROR(ParseCredentials(rest.substr(0, at), &url));
    rest = rest.substr(at + 1);
  }
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    RETURN_IF_ERROR(ParseDatabase(rest.substr(slash + 1), &url));
    rest = rest.substr(0, slash);
  }
  RETURN_IF_ERROR(ParseHostPort(rest, &url));
  return url;
}

}  // namespace meridian
