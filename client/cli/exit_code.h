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
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_EXIT_CODE_H_
