#include "tests/support/redis_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace meridian {
namespace {

constexpr int kPortAttempts = 10;
constexpr absl::Duration kStartTimeout = absl::Seconds(30);
constexpr int kRetryMs = 5;

sockaddr_in LoopbackAddress(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

std::string Encode(const std::vector<std::string>& arguments) {
  std::string command = absl::StrCat("*", arguments.size(), "\r\n");
  for (const std::string& argument : arguments) {
    absl::StrAppend(&command, "$", argument.size(), "\r\n", argument, "\r\n");
  }
  return command;
}

// A socket that closes itself.
class Socket {
 public:
  explicit Socket(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const sockaddr_in address = LoopbackAddress(port);
    const timeval timeout{5, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Socket() { close(fd_); }

  bool connected() const { return connected_; }
  bool Write(const std::string& bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Appends what comes next; false at the end.
  bool Read(std::string* bytes) {
    char buffer[4096];
    const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
    if (size <= 0) return false;
    bytes->append(buffer, static_cast<size_t>(size));
    return true;
  }

 private:
  const int fd_;
  bool connected_ = false;
};

}  // namespace

uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = LoopbackAddress(0);
  socklen_t size = sizeof(address);
  uint16_t port = 0;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  close(fd);
  return port;
}

absl::StatusOr<std::unique_ptr<RedisProcess>> RedisProcess::Start(
    std::vector<std::string> arguments) {
  absl::Status status;
  for (int attempt = 0; attempt < kPortAttempts; ++attempt) {
    const uint16_t port = FreePort();
    // A dump that another test has left in the current folder is not loaded.
    const std::string dump = absl::StrCat("redis-", port, ".rdb");
    std::vector<std::string> words = {
        "redis-server", "--port",    absl::StrCat(port), "--bind",      "127.0.0.1",
        "--save",       "",          "--appendonly",     "no",          "--daemonize",
        "no",           "--logfile", "/dev/null",        "--databases", "4",
        "--dbfilename", dump};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::unique_ptr<RedisProcess> redis(new RedisProcess(port, std::move(words)));
    status = redis->Launch();
    if (status.ok()) return redis;
  }
  return status;
}

absl::StatusOr<std::unique_ptr<RedisProcess>> RedisProcess::StartSentinel(
    const std::string& directory, const std::vector<std::string>& lines) {
  const uint16_t port = FreePort();
  const std::string file = absl::StrCat(directory, "/sentinel-", port, ".conf");
  std::ofstream out(file);
  out << "port " << port << "\nbind 127.0.0.1\nlogfile /dev/null\n";
  for (const std::string& line : lines) out << line << "\n";
  out.close();
  std::unique_ptr<RedisProcess> sentinel(
      new RedisProcess(port, {"redis-server", file, "--sentinel"}));
  if (absl::Status status = sentinel->Launch(); !status.ok()) return status;
  return sentinel;
}

RedisProcess::~RedisProcess() { Kill(); }

std::string RedisProcess::url() const { return absl::StrCat("redis://127.0.0.1:", port_); }

absl::Status RedisProcess::Launch() {
  std::vector<std::string> words = words_;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);

  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  if (pid_ == 0) {
    // Only async-signal-safe calls: the test may have threads.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    const int null = open("/dev/null", O_RDWR);
    dup2(null, 1);
    dup2(null, 2);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return WaitUntilItAnswers();
}

bool RedisProcess::HasExited() {
  if (waitpid(pid_, nullptr, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

absl::Status RedisProcess::WaitUntilItAnswers() {
  const absl::Time give_up = absl::Now() + kStartTimeout;
  while (absl::Now() < give_up) {
    if (HasExited()) {
      return absl::UnavailableError(
          absl::StrCat("redis-server ended at once; is it installed, is port ", port_, " free?"));
    }
    Socket socket(port_);
    std::string reply;
    // An error (NOAUTH) is an answer too.
    if (socket.connected() && socket.Write("PING\r\n") && socket.Read(&reply)) {
      return absl::OkStatus();
    }
    poll(nullptr, 0, kRetryMs);
  }
  return absl::DeadlineExceededError("redis-server does not answer");
}

void RedisProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status RedisProcess::Restart() {
  Kill();
  return Launch();
}

void RedisProcess::Stop() {
  kill(pid_, SIGSTOP);
  // The signal has arrived when the kernel says that the process is stopped.
  waitpid(pid_, nullptr, WUNTRACED);
}

void RedisProcess::Cont() { kill(pid_, SIGCONT); }

absl::StatusOr<std::string> RedisProcess::Command(const std::vector<std::string>& arguments) const {
  Socket socket(port_);
  if (!socket.connected() || !socket.Write(Encode(arguments))) {
    return absl::UnavailableError("redis-server is not there");
  }
  std::string reply;
  size_t line_end;
  while ((line_end = reply.find("\r\n")) == std::string::npos) {
    if (!socket.Read(&reply)) return absl::UnavailableError("no reply");
  }
  std::string line = reply.substr(0, line_end);
  int64_t size = 0;
  if (line[0] != '$' || !absl::SimpleAtoi(line.substr(1), &size) || size < 0) return line;
  while (reply.size() < line_end + 4 + static_cast<size_t>(size)) {
    if (!socket.Read(&reply)) return absl::UnavailableError("half a reply");
  }
  return reply.substr(line_end + 2, static_cast<size_t>(size));
}

absl::StatusOr<std::vector<std::string>> RedisProcess::List(
    const std::vector<std::string>& arguments) const {
  Socket socket(port_);
  if (!socket.connected() || !socket.Write(Encode(arguments))) {
    return absl::UnavailableError("redis-server is not there");
  }
  std::string reply;
  size_t at = 0;
  // The number behind the type character of the line that begins at `at`, which moves behind it.
  const auto header = [&](char type) -> absl::StatusOr<int64_t> {
    size_t end;
    while ((end = reply.find("\r\n", at)) == std::string::npos) {
      if (!socket.Read(&reply)) return absl::UnavailableError("half a reply");
    }
    int64_t number = 0;
    if (reply[at] != type || !absl::SimpleAtoi(reply.substr(at + 1, end - at - 1), &number)) {
      return absl::InternalError(reply.substr(at, end - at));
    }
    at = end + 2;
    return number;
  };
  const absl::StatusOr<int64_t> count = header('*');
  if (!count.ok()) return count.status();
  std::vector<std::string> elements;
  for (int64_t i = 0; i < *count; ++i) {
    const absl::StatusOr<int64_t> size = header('$');
    if (!size.ok()) return size.status();
    while (reply.size() < at + static_cast<size_t>(*size) + 2) {
      if (!socket.Read(&reply)) return absl::UnavailableError("half a reply");
    }
    elements.push_back(reply.substr(at, static_cast<size_t>(*size)));
    at += static_cast<size_t>(*size) + 2;
  }
  return elements;
}

}  // namespace meridian
