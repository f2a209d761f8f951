// HttpClient is HttpSender on an EventLoop: libevent's HTTP over TCP or TLS, one connection a call.
//
// Promise: no thread waits; names are resolved by the loop; of TLS that of TlsContext: a server
//   whose certificate is not trusted, or is for another name, is told nothing.
// Thread safety: Send by any thread. The destructor fails what is under way. REQUIRES: not
// destroyed on the loop; the loop outlives this.

#ifndef MERIDIAN_SERVER_HTTP_CLIENT_HTTP_CLIENT_H_
#define MERIDIAN_SERVER_HTTP_CLIENT_HTTP_CLIENT_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/figures/http_sender.h"
#include "server/l2/event_loop.h"
#include "server/l2/tls_context.h"

struct evhttp_request;

namespace meridian {

class HttpClient final : public HttpSender {
 public:
  // `ca_file`: the authorities that servers of https:// are judged by; empty: those of the system.
  // Returns kInvalidArgument naming the file when it cannot be used.
  static absl::StatusOr<std::unique_ptr<HttpClient>> Create(EventLoop& loop,
                                                            const std::string& ca_file);
  ~HttpClient() override;

  void Send(HttpCall call, Done done) override;

 private:
  struct Exchange;

  HttpClient(EventLoop& loop, std::unique_ptr<TlsContext> tls);
  // All on the loop.
  void Begin(HttpCall call, Done done);
  absl::Status Connect(Exchange* exchange);
  absl::Status Request(Exchange* exchange);
  void Finish(Exchange* exchange, absl::StatusOr<HttpAnswer> answer);
  std::string WhyNoAnswer(const Exchange& exchange) const;
  static void OnAnswer(evhttp_request* request, void* exchange);
  // `error`: libevent's evhttp_request_error.
  static void OnError(int error, void* exchange);

  EventLoop& loop_;
  // Loop only.
  const std::unique_ptr<TlsContext> tls_;
  std::map<uint64_t, std::unique_ptr<Exchange>> exchanges_;
  uint64_t next_id_ = 0;
  bool closing_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_HTTP_CLIENT_HTTP_CLIENT_H_
