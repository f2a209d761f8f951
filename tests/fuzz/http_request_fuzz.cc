// What we read of HTTP requests ourselves (queries, Host), URLs that we are given, and what other
// regions answer: whatever it is, it is taken or refused with a reason, and nothing is thrown.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/utf8.h"
#include "common/rpc/http_reply.h"
#include "server/coordinator/cluster_scope.h"
#include "server/dashboard/host_header.h"
#include "server/policy/http_url.h"

namespace meridian {
namespace {

void Check(bool holds) {
  if (!holds) std::abort();
}

void CheckError(const HttpReply& reply) {
  Check(reply.code == 400 || reply.code == 421);
  Check(nlohmann::json::accept(reply.body));
}

void Query(std::string_view text) {
  const HttpQuery query = ParseHttpQuery(text, {"namespace", "limit"});
  if (query.error.has_value()) {
    CheckError(*query.error);
  } else {
    Check(query.values.size() <= 2);
    for (const auto& [name, value] : query.values) {
      Check(name == "namespace" || name == "limit");
      Check(IsUtf8(value));
    }
  }
  const auto scope = TakeScope(text);
  if (const auto* error = std::get_if<HttpReply>(&scope)) {
    CheckError(*error);
  } else {
    Check(std::get<ScopedQuery>(scope).rest.size() <= text.size());
  }
}

void Host(const std::string& text) {
  for (const bool loopback : {false, true}) {
    const std::optional<HttpReply> refused = RefuseHost(text.c_str(), "1.1", loopback);
    if (refused.has_value()) CheckError(*refused);
  }
}

void Url(std::string_view text) {
  const absl::StatusOr<HttpUrl> url = ParseHttpUrl(text);
  if (!url.ok()) {
    Check(!url.status().message().empty());
    return;
  }
  Check(url->port > 0 && !url->host.empty() && url->target.front() == '/');
  for (const char c : url->host + url->target) Check(c > ' ' && c < 0x7f);
  const std::string again =
      std::string(url->tls ? "https://" : "http://") + url->authority() + url->target;
  const absl::StatusOr<HttpUrl> parsed = ParseHttpUrl(again);
  // What is written out in full may be longer than what may be given.
  if (!parsed.ok()) return Check(again.size() > 2048);
  Check(parsed->authority() == url->authority() && parsed->target == url->target);
}

void AnswerOfARegion(const std::string& text) {
  const HttpReply reply =
      ClusterReply({{.region = "us", .body = text, .age = absl::ZeroDuration(), .problem = text}},
                   /*with_totals=*/true, absl::UnixEpoch());
  Check(reply.code == 200 && nlohmann::json::accept(reply.body));
}

}  // namespace
}  // namespace meridian

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  meridian::Query(text);
  meridian::Host(text);
  meridian::Url(text);
  meridian::AnswerOfARegion(text);
  return 0;
}
