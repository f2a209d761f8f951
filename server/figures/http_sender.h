// HttpSender sends HTTP requests: the port that AlertWebhook, OtherRegions and LeaderForward stand
// on. server/http_client has the real one; tests have a fake.

#ifndef MERIDIAN_SERVER_FIGURES_HTTP_SENDER_H_
#define MERIDIAN_SERVER_FIGURES_HTTP_SENDER_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/policy/http_url.h"

namespace meridian {

// A POST of JSON when it has a body, else a GET.
struct HttpCall {
  HttpUrl url = {};
  std::string body = {};
  absl::Duration timeout = absl::Seconds(5);  // Of the whole call.
  size_t max_answer_bytes = size_t{1} << 20;
  bool forwarded = false;  // kForwardedHeader: for somebody else who asked.
};

struct HttpAnswer {
  int code = 0;  // Whatever it is: redirects are not followed.
  std::string body = {};
};

class HttpSender {
 public:
  using Done = std::function<void(absl::StatusOr<HttpAnswer>)>;
  virtual ~HttpSender() = default;

  // `done` is called exactly once, on any thread; it must not block. An error: there was no whole
  // answer; it says why.
  virtual void Send(HttpCall call, Done done) = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_FIGURES_HTTP_SENDER_H_
