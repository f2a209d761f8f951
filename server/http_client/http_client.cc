#include "server/http_client/http_client.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/util.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/http_reply.h"

namespace meridian {
namespace {

constexpr ev_ssize_t kMaxHeaderBytes = 32 << 10;

}  // namespace

// One call. Lives on the loop until its connection may go.
struct HttpClient::Exchange {
  Exchange(HttpClient& owner, uint64_t number, HttpCall what, Done then)
      : client(owner),
        id(number),
        call(std::move(what)),
        done(std::move(then)),
        deadline(owner.loop_, [this] {
          client.Finish(this, absl::DeadlineExceededError(absl::StrCat(
                                  "no answer within ", absl::FormatDuration(absl::Ceil(
                                                           call.timeout, absl::Milliseconds(1))))));
        }) {}
  ~Exchange() {
    if (connection != nullptr) evhttp_connection_free(connection);
  }

  HttpClient& client;
  const uint64_t id;
  const HttpCall call;
  Done done;  // Empty: it was told.
  LoopTimer deadline;
  bufferevent* bev = nullptr;  // The connection's.
  evhttp_connection* connection = nullptr;
  std::string problem;
};

absl::StatusOr<std::unique_ptr<HttpClient>> HttpClient::Create(EventLoop& loop,
                                                               const std::string& ca_file) {
  RedisTls settings;
  settings.ca_file = ca_file;
  ASSIGN_OR_RETURN(std::unique_ptr<TlsContext> tls, TlsContext::Create(std::move(settings)));
  return std::unique_ptr<HttpClient>(new HttpClient(loop, std::move(tls)));
}

HttpClient::HttpClient(EventLoop& loop, std::unique_ptr<TlsContext> tls)
    : loop_(loop), tls_(std::move(tls)) {}

HttpClient::~HttpClient() {
  loop_.PostAndWait([this] {
    closing_ = true;
    for (auto& [id, exchange] : exchanges_) {
      Finish(exchange.get(), absl::UnavailableError("this process ends"));
    }
    exchanges_.clear();
  });
}

void HttpClient::Send(HttpCall call, Done done) {
  loop_.Post([this, call = std::move(call), done = std::move(done)]() mutable {
    Begin(std::move(call), std::move(done));
  });
}

void HttpClient::Begin(HttpCall call, Done done) {
  const uint64_t id = next_id_++;
  Exchange* exchange =
      exchanges_
          .emplace(id, std::make_unique<Exchange>(*this, id, std::move(call), std::move(done)))
          .first->second.get();
  exchange->deadline.Start(exchange->call.timeout);
  absl::Status begun = Connect(exchange);
  if (begun.ok()) begun = Request(exchange);
  if (!begun.ok()) Finish(exchange, std::move(begun));
}

absl::Status HttpClient::Connect(Exchange* exchange) {
  const HttpUrl& url = exchange->call.url;
  // Deferred, so that no event arrives on the stack of the calls that follow.
  constexpr int kOptions = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
  if (url.tls) {
    ASSIGN_OR_RETURN(ssl_st * session, tls_->NewSession(url.host));
    exchange->bev = bufferevent_openssl_socket_new(loop_.base(), -1, session,
                                                   BUFFEREVENT_SSL_CONNECTING, kOptions);
    // HTTP has its own framing: libevent says so when a body is cut off.
    if (exchange->bev != nullptr) bufferevent_openssl_set_allow_dirty_shutdown(exchange->bev, 1);
  } else {
    exchange->bev = bufferevent_socket_new(loop_.base(), -1, kOptions);
  }
  if (exchange->bev == nullptr) return absl::ResourceExhaustedError("no socket");
  exchange->connection = evhttp_connection_base_bufferevent_new(
      loop_.base(), loop_.dns(), exchange->bev, url.host.c_str(), url.port);
  if (exchange->connection == nullptr) {
    bufferevent_free(exchange->bev);
    return absl::ResourceExhaustedError("no connection");
  }
  const timeval timeout = absl::ToTimeval(exchange->call.timeout);
  evhttp_connection_set_timeout_tv(exchange->connection, &timeout);
  evhttp_connection_set_retries(exchange->connection, 0);
  evhttp_connection_set_max_headers_size(exchange->connection, kMaxHeaderBytes);
  evhttp_connection_set_max_body_size(exchange->connection,
                                      static_cast<ev_ssize_t>(exchange->call.max_answer_bytes));
  return absl::OkStatus();
}

absl::Status HttpClient::Request(Exchange* exchange) {
  evhttp_request* request = evhttp_request_new(&HttpClient::OnAnswer, exchange);
  if (request == nullptr) return absl::ResourceExhaustedError("no request");
  evhttp_request_set_error_cb(request, [](evhttp_request_error error, void* arg) {
    OnError(static_cast<int>(error), arg);
  });
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Host", exchange->call.url.authority().c_str());
  evhttp_add_header(headers, "User-Agent", "meridian");
  evhttp_add_header(headers, "Accept", "application/json");
  evhttp_add_header(headers, "Connection", "close");
  if (exchange->call.forwarded) evhttp_add_header(headers, kForwardedHeader, "1");
  const std::string& body = exchange->call.body;
  if (!body.empty()) {
    evhttp_add_header(headers, "Content-Type", "application/json");
    evbuffer_add(evhttp_request_get_output_buffer(request), body.data(), body.size());
  }
  // It owns the request from here on, also when it fails.
  if (evhttp_make_request(exchange->connection, request,
                          body.empty() ? EVHTTP_REQ_GET : EVHTTP_REQ_POST,
                          exchange->call.url.target.c_str()) != 0) {
    return absl::UnavailableError("cannot begin to connect");
  }
  return absl::OkStatus();
}

void HttpClient::OnError(int error, void* arg) {
  auto* exchange = static_cast<Exchange*>(arg);
  switch (static_cast<evhttp_request_error>(error)) {
    case EVREQ_HTTP_TIMEOUT:
      exchange->problem = "no answer in time";
      break;
    case EVREQ_HTTP_EOF:
      break;  // Whatever closed it; see WhyNoAnswer.
    case EVREQ_HTTP_INVALID_HEADER:
      exchange->problem = "what it answers is not HTTP";
      break;
    case EVREQ_HTTP_DATA_TOO_LONG:
      exchange->problem = "its answer is too long";
      break;
    case EVREQ_HTTP_BUFFER_ERROR:
    case EVREQ_HTTP_REQUEST_CANCEL:
      exchange->problem = "it was given up";
      break;
  }
}

void HttpClient::OnAnswer(evhttp_request* request, void* arg) {
  auto* exchange = static_cast<Exchange*>(arg);
  HttpClient& client = exchange->client;
  const int code = request == nullptr ? 0 : evhttp_request_get_response_code(request);
  if (code == 0) {
    client.Finish(exchange, absl::UnavailableError(client.WhyNoAnswer(*exchange)));
    return;
  }
  HttpAnswer answer = {.code = code};
  evbuffer* input = evhttp_request_get_input_buffer(request);
  answer.body.resize(evbuffer_get_length(input));
  evbuffer_copyout(input, answer.body.data(), answer.body.size());
  client.Finish(exchange, std::move(answer));
}

std::string HttpClient::WhyNoAnswer(const Exchange& exchange) const {
  const HttpUrl& url = exchange.call.url;
  if (url.tls) {
    std::string problem = tls_->ProblemOf(exchange.bev, url.host);
    if (!problem.empty()) return problem;
  }
  if (!exchange.problem.empty()) return exchange.problem;
  if (const int error = bufferevent_socket_get_dns_error(exchange.bev); error != 0) {
    return absl::StrCat("'", url.host, "': ", evutil_gai_strerror(error));
  }
  return absl::StrCat("no connection to ", url.authority(), ", or closed without an answer");
}

// libevent is still in the connection when it tells how a request ended: it goes later.
void HttpClient::Finish(Exchange* exchange, absl::StatusOr<HttpAnswer> answer) {
  if (exchange->done == nullptr) return;
  const Done done = std::exchange(exchange->done, nullptr);
  exchange->deadline.Cancel();
  if (!closing_) loop_.Post([this, id = exchange->id] { exchanges_.erase(id); });
  done(std::move(answer));
}

}  // namespace meridian
