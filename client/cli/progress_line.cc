#include "client/cli/progress_line.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "client/cli/session.h"

namespace meridian::cli {

ProgressLine::ProgressLine(std::function<std::string()> text)
    : text_(std::move(text)), thread_([this] { Run(); }) {}

ProgressLine::~ProgressLine() {
  end_.Notify();
  thread_.join();
  if (StderrIsTerminal()) std::fputc('\n', stderr);
}

void ProgressLine::Run() {
  const bool terminal = StderrIsTerminal();
  const absl::Duration every = terminal ? absl::Milliseconds(250) : absl::Seconds(5);
  while (!end_.WaitForNotificationWithTimeout(every)) Tell(terminal);
  if (terminal) Tell(true);
}

void ProgressLine::Tell(bool terminal) {
  std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", text_().c_str());
  std::fflush(stderr);
}

std::string ProgressBar(uint64_t done, uint64_t whole) {
  constexpr uint64_t kCells = 20;
  const uint64_t percent = whole == 0 ? 100 : std::min(done, whole) * 100 / whole;
  const uint64_t full = percent * kCells / 100;
  return absl::StrCat("[", std::string(full, '#'), std::string(kCells - full, '.'), "] ", percent,
                      " %");
}

}  // namespace meridian::cli
