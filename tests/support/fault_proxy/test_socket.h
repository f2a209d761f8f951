// TestSocket is a blocking TCP connection of a test. Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_TEST_SOCKET_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_TEST_SOCKET_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian {

class TestSocket {
 public:
  // Connects to a numeric address and port; ok() says whether that worked.
  explicit TestSocket(const std::string& address);
  ~TestSocket();
  TestSocket(const TestSocket&) = delete;
  TestSocket& operator=(const TestSocket&) = delete;

  bool ok() const { return fd_ >= 0; }
  // False when the connection is gone.
  bool Send(const std::string& bytes);
  // The other side sees the end of the stream.
  void EndSending();
  // Appends what comes within `limit` until `bytes` has `size` of them. kDeadlineExceeded: silence;
  // kOutOfRange: the stream ended; kUnavailable: it was reset.
  absl::Status ReceiveUntil(size_t size, absl::Duration limit, std::string* bytes);

 private:
  int fd_ = -1;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_TEST_SOCKET_H_
