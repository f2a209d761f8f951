// FakeHttpSender keeps calls until the test answers them.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_HTTP_SENDER_H_
#define MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_HTTP_SENDER_H_

#include <deque>
#include <string>
#include <utility>

#include "server/figures/http_sender.h"

namespace meridian {

class FakeHttpSender final : public HttpSender {
 public:
  struct Sent {
    HttpCall call;
    Done done;
  };

  void Send(HttpCall call, Done done) override {
    sent.push_back({std::move(call), std::move(done)});
  }

  // Answers the oldest call that waits, and returns it.
  HttpCall Answer(absl::StatusOr<HttpAnswer> answer) {
    Sent first = std::move(sent.front());
    sent.pop_front();
    first.done(std::move(answer));
    return std::move(first.call);
  }
  HttpCall Answer(int code, std::string body = "") {
    return Answer(HttpAnswer{.code = code, .body = std::move(body)});
  }

  std::deque<Sent> sent;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_FIGURES_FAKE_HTTP_SENDER_H_
