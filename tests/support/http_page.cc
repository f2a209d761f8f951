#include "tests/support/http_page.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace meridian {
namespace {

// All that the server sends until it closes.
absl::StatusOr<std::string> Exchange(int fd, const sockaddr_in& address,
                                     const std::string& request) {
  const timeval limit{5, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      send(fd, request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError(std::strerror(errno));
  }
  std::string answer;
  char buffer[16384];
  ssize_t size = 0;
  while ((size = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  if (size < 0) return absl::DeadlineExceededError("no whole answer");
  return answer;
}

}  // namespace

absl::StatusOr<HttpPage> HttpGet(const std::string& address, const std::string& path) {
  const std::vector<std::string> parts = absl::StrSplit(address, ':');
  uint32_t port = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[1], &port)) {
    return absl::InvalidArgumentError(absl::StrCat("no address: ", address));
  }
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  where.sin_port = htons(static_cast<uint16_t>(port));
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  absl::StatusOr<std::string> answer =
      Exchange(fd, where, absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: ", address,
                                       "\r\nConnection: close\r\n\r\n"));
  close(fd);
  if (!answer.ok()) return answer.status();
  const size_t head = answer->find("\r\n\r\n");
  HttpPage page;
  if (head == std::string::npos || answer->size() < 12 ||
      !absl::SimpleAtoi(answer->substr(9, 3), &page.code)) {
    return absl::InternalError(absl::StrCat("no HTTP: ", answer->substr(0, 100)));
  }
  page.body = answer->substr(head + 4);
  return page;
}

double MetricSum(const std::string& text, const std::string& name,
                 const std::vector<std::string>& labels) {
  double sum = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, name) || line.size() <= name.size()) continue;
    const char next = line[name.size()];
    if (next != '{' && next != ' ') continue;
    if (!std::all_of(labels.begin(), labels.end(), [line](const std::string& label) {
          return absl::StrContains(line, label);
        })) {
      continue;
    }
    double value = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (absl::SimpleAtod(words.back(), &value)) sum += value;
  }
  return sum;
}

double FetchMetric(const std::string& http_address, const std::string& name,
                   const std::vector<std::string>& labels) {
  const absl::StatusOr<HttpPage> page = HttpGet(http_address, "/metrics");
  return page.ok() ? MetricSum(page->body, name, labels) : 0;
}

}  // namespace meridian
