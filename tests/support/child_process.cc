#include "tests/support/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "tests/support/temp_dir.h"
#include "tests/support/wait_until.h"

namespace meridian {
namespace {

constexpr int kExecFailed = 127;

// Only async-signal-safe calls: the test may have threads.
[[noreturn]] void BecomeProgram(const ChildOptions& options, char* const* argv, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, options.death_signal);
  if (getppid() != parent) _exit(kExecFailed);
  const int in = open(options.stdin_path.c_str(), O_RDONLY);
  const int out = open(options.stdout_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int err = open(options.stderr_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (in < 0 || out < 0 || err < 0) _exit(kExecFailed);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvp(argv[0], argv);
  _exit(kExecFailed);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const ChildOptions& options) {
  std::vector<char*> argv;
  for (const std::string& word : options.words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return absl::InternalError(absl::StrCat("fork: ", std::strerror(errno)));
  if (pid == 0) BecomeProgram(options, argv.data(), parent);
  return std::unique_ptr<ChildProcess>(new ChildProcess(pid));
}

ChildProcess::~ChildProcess() { Kill(); }

void ChildProcess::Reap(bool block) {
  if (ended_) return;
  int status = 0;
  pid_t reaped = 0;
  do {
    reaped = waitpid(pid_, &status, block ? 0 : WNOHANG);
  } while (reaped < 0 && errno == EINTR);
  if (reaped != pid_) return;
  ended_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ChildProcess::Running() {
  Reap(/*block=*/false);
  return !ended_;
}

void ChildProcess::Signal(int number) {
  if (Running()) kill(pid_, number);
}

void ChildProcess::Kill() {
  Signal(SIGKILL);
  Reap(/*block=*/true);
}

bool ChildProcess::WaitForExit(absl::Duration limit) {
  return WaitUntil([this] { return !Running(); }, limit, absl::Milliseconds(2));
}

CommandResult RunCommand(const std::vector<std::string>& words, absl::Duration limit,
                         const std::string& input) {
  const TempDir dir;
  WriteFile(dir / "in", input);
  CommandResult result;
  absl::StatusOr<std::unique_ptr<ChildProcess>> child = ChildProcess::Start(
      {.words = words, .stdin_path = dir / "in", .stdout_path = dir / "out",
       .stderr_path = dir / "err"});
  if (!child.ok()) {
    result.err = std::string(child.status().message());
    return result;
  }
  if ((*child)->WaitForExit(limit)) {
    result.exit_code = (*child)->exit_code();
  } else {
    (*child)->Kill();
  }
  result.out = ReadFile(dir / "out");
  result.err = ReadFile(dir / "err");
  return result;
}

std::string ProgramPath(const std::string& name) {
  const char* folder = std::getenv("MERIDIAN_BIN_DIR");
  return absl::StrCat(folder == nullptr ? "." : folder, "/", name);
}

}  // namespace meridian
