#include "server/policy/file_follower.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "server/policy/text.h"
#include "server/policy/yaml_document.h"

namespace meridian {
namespace {

std::vector<bool> Nothings(const std::vector<std::string>& texts) {
  std::vector<bool> nothings;
  for (const std::string& text : texts) nothings.push_back(SaysNothing(text));
  return nothings;
}

}  // namespace

FileFollower::FileFollower(FileFollowerOptions options, Executor& executor, const Clock& clock,
                           Apply apply, Report report)
    : options_(std::move(options)),
      executor_(executor),
      clock_(clock),
      apply_(std::move(apply)),
      report_(std::move(report)),
      seen_texts_(options_.texts),
      says_nothing_(Nothings(options_.texts)) {
  status_.loaded_at = clock_.Now();
}

void FileFollower::Start() {
  executor_.PostAfter(options_.poll, [this] { Poll(); });
}

void FileFollower::Poll() {
  ReadNow(/*asked=*/false);
  executor_.PostAfter(options_.poll, [this] { Poll(); });
}

void FileFollower::Reload() {
  executor_.Post([this] { ReadNow(/*asked=*/true); });
}

absl::StatusOr<std::vector<std::string>> FileFollower::ReadFiles() const {
  std::vector<std::string> texts;
  for (const std::string& file : options_.files) {
    ASSIGN_OR_RETURN(std::string text, ReadSmallFile(file));
    texts.push_back(std::move(text));
  }
  return texts;
}

absl::Status FileFollower::CheckSaying(const std::vector<std::string>& texts) const {
  for (size_t i = 0; i < texts.size(); ++i) {
    if (says_nothing_[i] || !SaysNothing(texts[i])) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(options_.files[i], ":1: the file says nothing, as when it is being written; ",
                     options_.nothing[i]));
  }
  return absl::OkStatus();
}

void FileFollower::ReadNow(bool asked) {
  const absl::StatusOr<std::vector<std::string>> texts = ReadFiles();
  const std::string error = texts.ok() ? "" : std::string(texts.status().message());
  const bool changed =
      texts.ok() ? !seen_error_.empty() || seen_texts_ != *texts : seen_error_ != error;
  if (!changed && !asked) return;
  seen_error_ = error;
  if (texts.ok()) seen_texts_ = *texts;
  absl::Status status = texts.status();
  if (status.ok()) status = CheckSaying(*texts);
  if (status.ok()) status = apply_(*texts);
  if (status.ok()) says_nothing_ = Nothings(*texts);
  FileFollowerStatus told;
  {
    absl::MutexLock lock(&mu_);
    if (status.ok()) {
      ++status_.reloads;
      status_.loaded_at = clock_.Now();
    } else {
      ++status_.failed_reloads;
    }
    status_.problem = std::string(status.message());
    told = status_;
  }
  report_(told);
}

FileFollowerStatus FileFollower::Status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

}  // namespace meridian
