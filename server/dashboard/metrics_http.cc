#include "server/dashboard/metrics_http.h"

#include <civetweb.h>

#include <cassert>
#include <charconv>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "common/base/strings.h"
#include "server/dashboard/host_header.h"

namespace meridian {
namespace {

constexpr char kPrometheusText[] = "text/plain; version=0.0.4; charset=utf-8";

// The host of "host:port", brackets included, and the port.
struct HostPort {
  std::string host;
  int port = 0;
};

std::optional<HostPort> ParseHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  HostPort result = {std::string(address.substr(0, colon)), 0};
  const bool bracketed = result.host.front() == '[' && result.host.back() == ']';
  if (!bracketed && result.host.find(':') != std::string::npos) return std::nullopt;
  // civetweb takes a list of ports with flags behind them: no second one may slip in.
  if (result.host.find_first_of(", +") != std::string::npos) return std::nullopt;
  const char* end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data() + colon + 1, end, result.port);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  if (result.port < 0 || result.port > 65535) return std::nullopt;
  return result;
}

bool IsLoopbackHost(std::string_view host) {
  return host == "localhost" || host == "[::1]" || host.substr(0, 4) == "127.";
}

// civetweb wants to be initialised once in a process.
void InitLibrary() {
  [[maybe_unused]] static const unsigned features = mg_init_library(MG_FEATURES_DEFAULT);
}

// "" when there is none.
std::string HeaderOf(const mg_connection* connection, const char* name) {
  const char* value = mg_get_header(connection, name);
  return value == nullptr ? "" : value;
}

// What CivetWeb refuses before anybody is asked.
const char* ReasonOf(int code) {
  switch (code) {
    case 404:
      return "PATH_UNKNOWN";
    case 413:
    case 414:
    case 431:
      return "REQUEST_TOO_LARGE";
    default:
      return "REQUEST_INVALID";
  }
}

void Send(mg_connection* connection, const HttpReply& reply, bool with_body) {
  const char* text =
      reply.code == 421 ? "Misdirected Request" : mg_get_response_code_text(connection, reply.code);
  // Of an answer without a body it would be taken for that of the body which is not sent.
  const std::string length =
      reply.code == 304 ? "" : absl::StrCat("Content-Length: ", reply.body.size(), "\r\n");
  const std::string head =
      absl::StrCat("HTTP/1.1 ", reply.code, " ", text, "\r\n", "Content-Type: ", reply.content_type,
                   "\r\n", length, "Cache-Control: ", reply.cache_control, "\r\n",
                   "Content-Security-Policy: ", reply.content_security_policy, "\r\n",
                   "X-Content-Type-Options: nosniff\r\n"
                   "X-Frame-Options: DENY\r\n"
                   "Referrer-Policy: no-referrer\r\n",
                   reply.extra_header, "Connection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, reply.body.data(), reply.body.size());
}

}  // namespace

MetricsHttp::MetricsHttp(MetricsHttpOptions options, const MetricRegistry& registry)
    : options_(std::move(options)), registry_(registry) {
  assert(options_.readiness != nullptr);
}

MetricsHttp::~MetricsHttp() {
  if (server_ == nullptr) return;
  // civetweb looks at its stop flag when a connection comes, or else every two seconds.
  absl::Notification stopped;
  std::thread stopper([&] {
    mg_stop(server_);
    stopped.Notify();
  });
  while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(20))) Knock();
  stopper.join();
}

void MetricsHttp::Knock() const {
  std::string host = ParseHostPort(address_)->host;
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  char problem[128];
  mg_connection* connection = mg_connect_client(host.c_str(), port_, 0, problem, sizeof(problem));
  if (connection != nullptr) mg_close_connection(connection);
}

absl::StatusOr<std::unique_ptr<MetricsHttp>> MetricsHttp::Start(MetricsHttpOptions options,
                                                                const MetricRegistry& registry) {
  std::unique_ptr<MetricsHttp> http(new MetricsHttp(std::move(options), registry));
  RETURN_IF_ERROR(http->Listen());
  return http;
}

absl::Status MetricsHttp::Listen() {
  const std::optional<HostPort> wanted = ParseHostPort(options_.address);
  if (!wanted.has_value()) {
    return absl::InvalidArgumentError(
        absl::StrCat("http address '", options_.address, "' is not HOST:PORT"));
  }
  InitLibrary();
  mg_callbacks callbacks = {};
  callbacks.begin_request = &MetricsHttp::OnRequest;
  callbacks.http_error = &MetricsHttp::OnError;
  callbacks.log_message = &MetricsHttp::OnLogMessage;
  const std::string threads = absl::StrCat(options_.threads);
  const std::string timeout_ms = absl::StrCat(absl::ToInt64Milliseconds(kRequestTimeout));
  const char* settings[] = {"listening_ports",
                            options_.address.c_str(),  //
                            "num_threads",
                            threads.c_str(),  //
                            "request_timeout_ms",
                            timeout_ms.c_str(),  //
                            "enable_directory_listing",
                            "no",  //
                            "enable_keep_alive",
                            "no",  //
                            nullptr};
  char text[256] = "";
  mg_init_data init = {&callbacks, this, settings};
  mg_error_data error = {nullptr, text, sizeof(text)};
  server_ = mg_start2(&init, &error);
  if (server_ == nullptr) {
    absl::MutexLock lock(&mu_);
    const std::string reason = first_problem_.empty() ? std::string(text) : first_problem_;
    return absl::UnavailableError(
        absl::StrCat("cannot listen for http on ", options_.address, ": ", reason));
  }
  address_ = options_.address;
  mg_server_port bound = {};
  if (mg_get_server_ports(server_, 1, &bound) != 1) {
    return absl::InternalError(absl::StrCat("no port is bound for ", options_.address));
  }
  port_ = bound.port;
  address_ = absl::StrCat(wanted->host, ":", port_);
  loopback_ = IsLoopbackHost(wanted->host);
  return absl::OkStatus();
}

HttpReply MetricsHttp::ReplyTo(std::string_view method, const HttpRequest& request) const {
  const std::string& path = request.path;
  const bool is_read = method == "GET" || method == "HEAD";
  const HttpReply wrong_method = {
      .code = 405, .body = "only GET and HEAD\n", .extra_header = "Allow: GET, HEAD\r\n"};
  if (path == "/metrics" || path == "/livez" || path == "/readyz") {
    if (!is_read) return wrong_method;
    if (path == "/metrics") {
      return {.content_type = kPrometheusText, .body = registry_.PrometheusText()};
    }
    if (path == "/livez") return {.body = "alive\n"};
    const Readiness readiness = options_.readiness();
    return {.code = readiness.ready ? 200 : 503,
            .body = absl::StrCat(readiness.ready ? "ready" : "not ready",
                                 readiness.reason.empty() ? "" : ": ", readiness.reason, "\n")};
  }
  // Of whatever path: to know whether it is there, a handler would have to do its work.
  if (!is_read) {
    HttpReply refused = JsonError(405, "METHOD_NOT_ALLOWED", "only GET and HEAD");
    refused.extra_header = wrong_method.extra_header;
    return refused;
  }
  if (request.query.size() > kMaxQueryBytes) {
    return JsonError(414, "QUERY_TOO_LONG",
                     absl::StrCat("at most ", kMaxQueryBytes, " bytes behind the ?"));
  }
  for (const HttpHandler& handler : options_.handlers) {
    std::optional<HttpReply> reply = handler(request);
    if (reply.has_value()) return *std::move(reply);
  }
  return JsonError(404, "PATH_UNKNOWN", absl::StrCat("no ", QuoteKey(path), " here"));
}

int MetricsHttp::OnRequest(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  const auto* self = static_cast<const MetricsHttp*>(request->user_data);
  const std::string_view method = request->request_method;
  std::optional<HttpReply> refused =
      RefuseHost(mg_get_header(connection, "Host"), request->http_version, self->loopback_);
  const HttpReply reply =
      refused.has_value()
          ? *std::move(refused)
          : self->ReplyTo(method,
                          {.path = request->local_uri == nullptr ? "" : request->local_uri,
                           .query = request->query_string == nullptr ? "" : request->query_string,
                           .if_none_match = HeaderOf(connection, "If-None-Match"),
                           .accept_encoding = HeaderOf(connection, "Accept-Encoding"),
                           .forwarded = !HeaderOf(connection, kForwardedHeader).empty()});
  Send(connection, reply, method != "HEAD");
  return reply.code;
}

int MetricsHttp::OnError(mg_connection* connection, int code, const char*) {
  const char* method = mg_get_request_info(connection)->request_method;  // nullptr: not read yet.
  Send(connection,
       JsonError(code, ReasonOf(code),
                 absl::StrCat("refused: ", mg_get_response_code_text(connection, code))),
       method == nullptr || std::string_view(method) != "HEAD");
  return 0;  // It is answered.
}

int MetricsHttp::OnLogMessage(const mg_connection* connection, const char* message) {
  auto* self = static_cast<MetricsHttp*>(mg_get_user_data(mg_get_context(connection)));
  if (self != nullptr) {
    absl::MutexLock lock(&self->mu_);
    if (self->first_problem_.empty()) self->first_problem_ = message;
  }
  return 1;
}

}  // namespace meridian
