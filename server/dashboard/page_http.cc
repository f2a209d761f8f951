#include "server/dashboard/page_http.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/strings.h"
#include "server/dashboard/page_assets.h"

namespace meridian {
namespace {

constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

// True when a copy with one of the tags of If-None-Match is as good as `etag`.
bool Matches(std::string_view if_none_match, std::string_view etag) {
  for (const absl::string_view part : absl::StrSplit(ToAbsl(if_none_match), ',')) {
    absl::string_view tag = absl::StripAsciiWhitespace(part);
    absl::ConsumePrefix(&tag, "W/");  // Weak tags are enough for GET and HEAD (RFC 9110, 13.1.2).
    if (tag == "*" || ToStd(tag) == etag) return true;
  }
  return false;
}

// True when one of the codings of Accept-Encoding is gzip, and is not ruled out.
bool AcceptsGzip(std::string_view accept_encoding) {
  for (const absl::string_view part : absl::StrSplit(ToAbsl(accept_encoding), ',')) {
    const std::pair<absl::string_view, absl::string_view> coding =
        absl::StrSplit(part, absl::MaxSplits(';', 1));
    if (absl::StripAsciiWhitespace(coding.first) != "gzip") continue;
    absl::string_view weight = absl::StripAsciiWhitespace(coding.second);
    // "q=0" and "q=0.000" say never.
    return !absl::ConsumePrefix(&weight, "q=") ||
           weight.find_first_not_of("0.") != absl::string_view::npos;
  }
  return false;
}

}  // namespace

std::optional<HttpReply> AnswerPage(const HttpRequest& request) {
  for (const PageAsset& asset : PageAssets()) {
    if (asset.path != request.path) continue;
    HttpReply reply;
    reply.content_type = std::string(asset.content_type);
    reply.content_security_policy = kPolicy;
    reply.cache_control = "no-cache";
    reply.extra_header =
        absl::StrCat("ETag: ", ToAbsl(asset.etag), "\r\nVary: Accept-Encoding\r\n");
    if (Matches(request.if_none_match, asset.etag)) {
      reply.code = 304;
    } else if (!asset.gzip.empty() && AcceptsGzip(request.accept_encoding)) {
      reply.extra_header += "Content-Encoding: gzip\r\n";
      reply.body = std::string(asset.gzip);
    } else {
      reply.body = std::string(asset.bytes);
    }
    return reply;
  }
  return std::nullopt;
}

}  // namespace meridian
