#include "server/policy/http_url.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

constexpr size_t kMaxBytes = 2048;

absl::Status Invalid(std::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("not an HTTP URL (", ToAbsl(reason),
                                                 "); it is http:// or https://host[:port][/path]"));
}

bool IsHostName(std::string_view host) {
  return !host.empty() && host.size() <= 253 &&
         std::all_of(host.begin(), host.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '-' || c == '_';
         });
}

bool IsIpv6(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

}  // namespace

std::string HttpUrl::authority() const {
  const bool ipv6 = host.find(':') != std::string::npos;
  std::string text = ipv6 ? absl::StrCat("[", host, "]") : host;
  if (port != (tls ? 443 : 80)) absl::StrAppend(&text, ":", port);
  return text;
}

absl::StatusOr<HttpUrl> ParseHttpUrl(std::string_view text) {
  HttpUrl url;
  if (text.size() > kMaxBytes) return Invalid("it is longer than 2048 bytes");
  const size_t scheme = text.find("://");
  const std::string_view name = text.substr(0, scheme == std::string_view::npos ? 0 : scheme);
  url.tls = absl::EqualsIgnoreCase(ToAbsl(name), "https");
  if (!url.tls && !absl::EqualsIgnoreCase(ToAbsl(name), "http")) return Invalid("another scheme");
  text.remove_prefix(scheme + 3);
  const size_t end = std::min(text.find_first_of("/?#"), text.size());
  const std::string_view authority = text.substr(0, end);
  const std::string_view target = text.substr(end);
  if (target.find('#') != std::string_view::npos) return Invalid("a fragment");
  for (const char c : target) {
    if (c <= ' ' || c >= 0x7f) return Invalid("the path has what must be percent-encoded");
  }
  if (authority.find('@') != std::string_view::npos) {
    return Invalid("credentials in it are not sent");
  }
  std::string_view port;
  if (!authority.empty() && authority.front() == '[') {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return Invalid("'[' without ']'");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (!IsIpv6(url.host)) return Invalid("no IPv6 address in the brackets");
    if (!port.empty() && port.front() != ':') return Invalid("unexpected text after ']'");
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    port = authority.substr(colon);
    if (!IsHostName(url.host)) return Invalid("no host, or one that cannot be a name");
  }
  url.port = url.tls ? 443 : 80;
  if (!port.empty()) {
    const absl::StatusOr<uint64_t> number = ParseInteger(port.substr(1), 1, 65535);
    if (!number.ok()) return Invalid("the port must be 1-65535");
    url.port = static_cast<uint16_t>(*number);
  }
  url.target = absl::StrCat(target.empty() || target.front() != '/' ? "/" : "", ToAbsl(target));
  return url;
}

}  // namespace meridian
