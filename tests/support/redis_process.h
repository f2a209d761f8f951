// RedisProcess is a real redis-server on a port chosen by the OS, without persistence, for one
// test.
//
// It dies with its test, whatever happens to that. Loopback only. Start* block until Redis answers
// PING. Thread safety: none. REQUIRES: the thread that starts it lives as long as it shall.

#ifndef MERIDIAN_TESTS_SUPPORT_REDIS_PROCESS_H_
#define MERIDIAN_TESTS_SUPPORT_REDIS_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian {

// A port that was free a moment ago; 0 when there is none.
uint16_t FreePort();

class RedisProcess {
 public:
  // `arguments` as for redis-server, e.g. {"--requirepass", "secret"}.
  static absl::StatusOr<std::unique_ptr<RedisProcess>> Start(
      std::vector<std::string> arguments = {});
  // A sentinel that has `lines` in its configuration, which it rewrites: a file in `directory`.
  static absl::StatusOr<std::unique_ptr<RedisProcess>> StartSentinel(
      const std::string& directory, const std::vector<std::string>& lines);
  ~RedisProcess();

  uint16_t port() const { return port_; }
  std::string url() const;  // redis://127.0.0.1:port
  pid_t pid() const { return pid_; }

  // kill -9, and waits for the end. Everything that it held is gone.
  void Kill();
  // After Kill: an empty Redis on the same port.
  absl::Status Restart();
  // SIGSTOP and SIGCONT: accepts connections, never answers.
  void Stop();
  void Cont();

  // Sends one command and returns the first line of the reply, or all of a bulk reply's bytes.
  absl::StatusOr<std::string> Command(const std::vector<std::string>& arguments) const;
  // The same for a command that answers an array of strings.
  absl::StatusOr<std::vector<std::string>> List(const std::vector<std::string>& arguments) const;

 private:
  RedisProcess(uint16_t port, std::vector<std::string> words)
      : port_(port), words_(std::move(words)) {}
  absl::Status Launch();
  absl::Status WaitUntilItAnswers();
  bool HasExited();

  const uint16_t port_;
  const std::vector<std::string> words_;  // The command line.
  pid_t pid_ = -1;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_REDIS_PROCESS_H_
