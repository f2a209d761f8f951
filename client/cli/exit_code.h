// The exit codes of meridianctl; docs and scripts rely on them.

#ifndef MERIDIAN_CLIENT_CLI_EXIT_CODE_H_
#define MERIDIAN_CLIENT_CLI_EXIT_CODE_H_

namespace meridian::cli {

enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitMiss = 3,
  kExitAuth = 4,
  kExitUnavailable = 5,  // Also a timeout.
  kExitWarning = 6,      // Of `doctor`.
  kExitCritical = 7,     // Of `doctor`.
};

struct ExitCodeMeaning {
  ExitCode code;
  const char* meaning;
};

// All of them, for --help and the man page.
inline constexpr ExitCodeMeaning kExitCodeMeanings[] = {
    {kExitOk, "ok"},
    {kExitFailed, "failed"},
    {kExitUsage, "wrong usage"},
    {kExitMiss, "not found"},
    {kExitAuth, "not allowed"},
    {kExitUnavailable, "not reachable, or too slow"},
    {kExitWarning, "doctor: a warning"},
    {kExitCritical, "doctor: something critical"},
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_EXIT_CODE_H_
