// ProgressLine tells how far long work is, on standard error: one line that changes on a terminal,
// else a line every 5 s.

#ifndef MERIDIAN_CLIENT_CLI_PROGRESS_LINE_H_
#define MERIDIAN_CLIENT_CLI_PROGRESS_LINE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"

namespace meridian::cli {

class ProgressLine {
 public:
  // `text` says how far it is; called from a thread of this object's until the destructor returns.
  explicit ProgressLine(std::function<std::string()> text);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

 private:
  void Run();
  void Tell(bool terminal);

  const std::function<std::string()> text_;
  absl::Notification end_;
  std::thread thread_;  // Last: uses everything above.
};

// "[######....] 60 %"; of more than the whole, 100 %.
std::string ProgressBar(uint64_t done, uint64_t whole);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_PROGRESS_LINE_H_
