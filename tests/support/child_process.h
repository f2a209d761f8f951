// ChildProcess is one program that a test runs; RunCommand runs one to its end.
//
// Promise: a child never outlives its test: it gets `death_signal` when the thread that started it
//   ends, whatever ended that. Start children in the main thread.
// Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_CHILD_PROCESS_H_
#define MERIDIAN_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

struct ChildOptions {
  std::vector<std::string> words;  // The program, found in PATH, and its arguments.
  std::string stdin_path = "/dev/null";
  std::string stdout_path;  // Created or appended to.
  std::string stderr_path;  // May be the same file.
  int death_signal = SIGKILL;
};

class ChildProcess {
 public:
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(const ChildOptions& options);
  // Kills it if it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  void Signal(int number);
  // SIGKILL, and waits for the end.
  void Kill();
  // True when it ended within `limit`.
  bool WaitForExit(absl::Duration limit);
  // REQUIRES: it ended. 128 + n when signal n ended it, as in a shell.
  int exit_code() const { return exit_code_; }

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}
  void Reap(bool block);

  const pid_t pid_;
  bool ended_ = false;
  int exit_code_ = -1;
};

struct CommandResult {
  int exit_code = -1;  // -1: it did not start, or it was killed because it took longer than allowed.
  std::string out;
  std::string err;
};

// Runs a program to its end.
CommandResult RunCommand(const std::vector<std::string>& words,
                         absl::Duration limit = absl::Seconds(60), const std::string& input = "");

// Path of a program of this build. REQUIRES: MERIDIAN_BIN_DIR is set, as ctest does.
std::string ProgramPath(const std::string& name);

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_CHILD_PROCESS_H_
