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

namespace meridian {
namespace {

constexpr std::string_view kPlainText = "text/plain; charset=utf-8";
constexpr std::string_view kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

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

// civetweb wants to be initialised once in a process.
void InitLibrary() {
  [[maybe_unused]] static const unsigned features = mg_init_library(MG_FEATURES_DEFAULT);
}

}  // namespace

struct MetricsHttp::Reply {
  int code;
  std::string_view content_type = kPlainText;
  std::string body;
  std::string_view extra_header = {};
};

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
  callbacks.log_message = &MetricsHttp::OnLogMessage;
  const std::string timeout_ms = absl::StrCat(absl::ToInt64Milliseconds(kRequestTimeout));
  const char* settings[] = {"listening_ports",
                            options_.address.c_str(),  //
                            "num_threads",
                            "2",  //
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
  return absl::OkStatus();
}

MetricsHttp::Reply MetricsHttp::ReplyTo(std::string_view method, std::string_view path) const {
  const bool known = path == "/metrics" || path == "/livez" || path == "/readyz";
  if (!known) return {.code = 404, .body = "not found\n"};
  if (method != "GET" && method != "HEAD") {
    return {.code = 405, .body = "only GET and HEAD\n", .extra_header = "Allow: GET, HEAD\r\n"};
  }
  if (path == "/metrics") {
    return {.code = 200, .content_type = kPrometheusText, .body = registry_.PrometheusText()};
  }
  if (path == "/livez") return {.code = 200, .body = "alive\n"};
  const Readiness readiness = options_.readiness();
  return {.code = readiness.ready ? 200 : 503,
          .body = absl::StrCat(readiness.ready ? "ready" : "not ready",
                               readiness.reason.empty() ? "" : ": ", readiness.reason, "\n")};
}

int MetricsHttp::OnRequest(mg_connection* connection) {
  const mg_request_info* request = mg_get_request_info(connection);
  const auto* self = static_cast<const MetricsHttp*>(request->user_data);
  const std::string_view method = request->request_method;
  const Reply reply = self->ReplyTo(method, request->local_uri);
  const std::string head =
      absl::StrCat("HTTP/1.1 ", reply.code, " ", mg_get_response_code_text(connection, reply.code),
                   "\r\n", "Content-Type: ", ToAbsl(reply.content_type), "\r\n",
                   "Content-Length: ", reply.body.size(), "\r\n",
                   "Cache-Control: no-store\r\n"
                   "Content-Security-Policy: default-src 'none'\r\n"
                   "X-Content-Type-Options: nosniff\r\n",
                   ToAbsl(reply.extra_header), "Connection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (method != "HEAD") mg_write(connection, reply.body.data(), reply.body.size());
  return reply.code;
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
