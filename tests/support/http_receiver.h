// HttpReceiver is an HTTP server that answers each request as a test says, and remembers what it
// was sent; with a certificate, over TLS.
//
// Thread safety: all methods may be called concurrently; answers come from one thread a connection.

#ifndef MERIDIAN_TESTS_SUPPORT_HTTP_RECEIVER_H_
#define MERIDIAN_TESTS_SUPPORT_HTTP_RECEIVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tests/support/loopback_server.h"
#include "tests/support/test_certificates.h"

struct ssl_ctx_st;

namespace meridian {

class HttpReceiver {
 public:
  struct Request {
    std::string head = {};  // "POST /hook HTTP/1.1\r\nHost: …\r\n\r\n"
    std::string body = {};
  };
  // The bytes of the answer, after which the connection is closed; empty: none, and it stays open.
  using Answer = std::function<std::string(const Request&)>;

  explicit HttpReceiver(Answer answer, const TestCertificate* certificate = nullptr);
  ~HttpReceiver();

  uint16_t port() const { return server_->port(); }
  std::string address() const;  // "127.0.0.1:port"
  std::vector<Request> requests() const ABSL_LOCKS_EXCLUDED(mu_);

  // A whole answer; `headers` are lines with their "\r\n".
  static std::string Reply(int code, const std::string& body = "", const std::string& headers = "");

 private:
  void Talk(int fd) ABSL_LOCKS_EXCLUDED(mu_);

  const Answer answer_;
  ssl_ctx_st* tls_ = nullptr;
  mutable absl::Mutex mu_;
  std::vector<Request> requests_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<LoopbackServer> server_;  // Goes first: its threads use what is above.
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_HTTP_RECEIVER_H_
