#include "tests/support/fault_proxy/test_socket.h"

#include <event2/util.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "absl/time/clock.h"

namespace meridian {

TestSocket::TestSocket(const std::string& address) {
  sockaddr_storage to{};
  int size = sizeof(to);
  if (evutil_parse_sockaddr_port(address.c_str(), reinterpret_cast<sockaddr*>(&to), &size) != 0) {
    return;
  }
  fd_ = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&to), static_cast<socklen_t>(size)) == 0) return;
  close(fd_);
  fd_ = -1;
}

TestSocket::~TestSocket() {
  if (fd_ >= 0) close(fd_);
}

bool TestSocket::Send(const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t part = send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (part < 0) return false;
    sent += static_cast<size_t>(part);
  }
  return true;
}

void TestSocket::EndSending() { shutdown(fd_, SHUT_WR); }

absl::Status TestSocket::ReceiveUntil(size_t size, absl::Duration limit, std::string* bytes) {
  const absl::Time deadline = absl::Now() + limit;
  while (bytes->size() < size) {
    pollfd readable = {.fd = fd_, .events = POLLIN, .revents = 0};
    const int64_t left = std::max(int64_t{0}, absl::ToInt64Milliseconds(deadline - absl::Now()));
    if (poll(&readable, 1, static_cast<int>(left)) == 0) {
      return absl::DeadlineExceededError("silence");
    }
    std::array<char, 65536> buffer{};
    const ssize_t part = recv(fd_, buffer.data(), buffer.size(), 0);
    if (part == 0) return absl::OutOfRangeError("the end of the stream");
    if (part < 0) return absl::UnavailableError("reset");
    bytes->append(buffer.data(), static_cast<size_t>(part));
  }
  return absl::OkStatus();
}

}  // namespace meridian
