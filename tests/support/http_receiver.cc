#include "tests/support/http_receiver.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// Bytes of the body that the head announces.
size_t LengthOf(const std::string& head) {
  const std::string lower = absl::AsciiStrToLower(head);
  constexpr char kName[] = "content-length:";
  const size_t at = lower.find(kName);
  if (at == std::string::npos) return 0;
  const size_t begin = at + sizeof(kName) - 1;
  size_t length = 0;
  if (!absl::SimpleAtoi(lower.substr(begin, lower.find('\r', begin) - begin), &length)) return 0;
  return length;
}

}  // namespace

HttpReceiver::HttpReceiver(Answer answer, const TestCertificate* certificate)
    : answer_(std::move(answer)) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes without MSG_NOSIGNAL.
  if (certificate != nullptr) {
    tls_ = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls_, certificate->certificate_file.c_str()) != 1 ||
        SSL_CTX_use_PrivateKey_file(tls_, certificate->key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
      std::abort();
    }
  }
  server_ = std::make_unique<LoopbackServer>([this](int fd) { Talk(fd); });
}

HttpReceiver::~HttpReceiver() {
  server_.reset();
  SSL_CTX_free(tls_);
}

std::string HttpReceiver::address() const { return absl::StrCat("127.0.0.1:", port()); }

std::vector<HttpReceiver::Request> HttpReceiver::requests() const {
  absl::MutexLock lock(&mu_);
  return requests_;
}

std::string HttpReceiver::Reply(int code, const std::string& body, const std::string& headers) {
  return absl::StrCat("HTTP/1.1 ", code, " Said\r\n", headers, "Content-Length: ", body.size(),
                      "\r\n\r\n", body);
}

void HttpReceiver::Talk(int fd) {
  SSL* session = nullptr;
  bool open = true;
  if (tls_ != nullptr) {
    session = SSL_new(tls_);
    SSL_set_fd(session, fd);
    open = SSL_accept(session) == 1;
  }
  char buffer[4096];
  const auto read = [&]() -> int {
    return session == nullptr ? static_cast<int>(recv(fd, buffer, sizeof(buffer), 0))
                              : SSL_read(session, buffer, sizeof(buffer));
  };
  const auto write = [&](const std::string& bytes) {
    if (session == nullptr) {
      for (size_t sent = 0; sent < bytes.size();) {
        const ssize_t n = send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) return;
        sent += static_cast<size_t>(n);
      }
    } else {
      SSL_write(session, bytes.data(), static_cast<int>(bytes.size()));
    }
  };
  std::string input;
  while (open) {
    const int size = read();
    if (size <= 0) break;
    input.append(buffer, static_cast<size_t>(size));
    const size_t end = input.find("\r\n\r\n");
    if (end == std::string::npos) continue;
    Request request = {.head = input.substr(0, end + 4)};
    if (input.size() < end + 4 + LengthOf(request.head)) continue;
    request.body = input.substr(end + 4);
    {
      absl::MutexLock lock(&mu_);
      requests_.push_back(request);
    }
    const std::string answer = answer_(request);
    input.clear();
    if (answer.empty()) continue;
    write(answer);
    open = false;
  }
  if (session != nullptr) {
    SSL_shutdown(session);
    SSL_free(session);
  }
}

}  // namespace meridian
