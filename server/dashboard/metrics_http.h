// MetricsHttp answers what machines ask a process over HTTP: /metrics (Prometheus text), /livez
// (200 while the process answers) and /readyz (503 and the reason while it should get no traffic);
// and, by handlers, pages of JSON (docs/http_api.md).
//
// Promise: only GET and HEAD, no bodies read, nothing from the file system, no cookie; a query of
//   kMaxQueryBytes at most, and a Host that a page elsewhere cannot have led here when it listens
//   on loopback only; a client that is slow holds a thread for kRequestTimeout at most.
// Cost: options.threads and one more of its own (civetweb: one that accepts and those that answer).
// Thread safety: the callbacks are called by all of these, concurrently; never after the
// destructor.

#ifndef MERIDIAN_SERVER_DASHBOARD_METRICS_HTTP_H_
#define MERIDIAN_SERVER_DASHBOARD_METRICS_HTTP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/http_reply.h"
#include "common/telemetry/metric_registry.h"

// civetweb's, which only the source includes.
struct mg_connection;
struct mg_context;

namespace meridian {

struct Readiness {
  bool ready = false;
  std::string reason;  // One line for people, shown in both cases.
};

struct MetricsHttpOptions {
  std::string address = "127.0.0.1:7403";  // host:port or [ipv6]:port; port 0: any free one.
  std::function<Readiness()> readiness;    // Must not block. REQUIRES: not empty.
  std::vector<HttpHandler> handlers = {};  // Asked in turn for all other paths.
  // That answer. Browsers open connections ahead, and each holds one until kRequestTimeout; so does
  // whoever opens one and says nothing.
  int threads = 16;
};

class MetricsHttp {
 public:
  static constexpr absl::Duration kRequestTimeout = absl::Seconds(5);
  static constexpr size_t kMaxQueryBytes = 2048;

  // Listens from here on. `registry` is not owned and outlives this.
  // Returns kInvalidArgument for an address that is none, kUnavailable, with the address and the
  // reason, when it cannot be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsHttp>> Start(MetricsHttpOptions options,
                                                            const MetricRegistry& registry);

  // Stops listening, waits for the requests under way.
  ~MetricsHttp();
  MetricsHttp(const MetricsHttp&) = delete;
  MetricsHttp& operator=(const MetricsHttp&) = delete;

  // Where it listens, with the real port.
  const std::string& address() const { return address_; }
  int port() const { return port_; }

 private:
  MetricsHttp(MetricsHttpOptions options, const MetricRegistry& registry);
  absl::Status Listen();
  void Knock() const;
  HttpReply ReplyTo(std::string_view method, const HttpRequest& request) const;
  static int OnRequest(mg_connection* connection);
  // What CivetWeb refuses by itself: as the other errors.
  static int OnError(mg_connection* connection, int code, const char* message);
  static int OnLogMessage(const mg_connection* connection, const char* message);

  const MetricsHttpOptions options_;
  const MetricRegistry& registry_;
  std::string address_;
  bool loopback_ = false;  // Nobody else reaches it.
  int port_ = 0;
  mg_context* server_ = nullptr;
  absl::Mutex mu_;
  // The first thing that civetweb complained about since the start.
  std::string first_problem_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_DASHBOARD_METRICS_HTTP_H_
