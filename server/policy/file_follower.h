// FileFollower follows the files that settings were read from, so that an edit takes effect without
// a restart.
//
// The files are read every `poll`, and when somebody asks for it (SIGHUP). What counts is their
// texts: files that are swapped by a link (Kubernetes' ConfigMaps) are followed, and a file that
// was only touched changes nothing.
// Promise: `apply` is given all texts when one has changed. When it refuses, or a file is gone,
//   what was in force stays, the problem is told by Status() until the files are right again, and
//   is reported once for each text. So is a file that says nothing, as an editor leaves it for a
//   moment, unless it said nothing before.
// Cost: one read of small files every `poll`.
// Thread safety: all methods may be called concurrently; `apply` and `report` run on the executor.

#ifndef MERIDIAN_SERVER_POLICY_FILE_FOLLOWER_H_
#define MERIDIAN_SERVER_POLICY_FILE_FOLLOWER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"

namespace meridian {

struct FileFollowerOptions {
  std::vector<std::string> files;
  std::vector<std::string> texts;  // Of them, as they are in force.
  // Of each, what to write for nothing: "for no policies, write ...".
  std::vector<std::string> nothing;
  absl::Duration poll = absl::Seconds(5);
};

struct FileFollowerStatus {
  absl::Time loaded_at;  // When what is in force was read.
  uint64_t reloads = 0;
  uint64_t failed_reloads = 0;
  std::string problem;  // Of the last reload, with file and line; empty: it was fine.
};

class FileFollower {
 public:
  using Apply = std::function<absl::Status(const std::vector<std::string>& texts)>;
  // A reload and its problem (empty: none).
  using Report = std::function<void(const FileFollowerStatus&)>;

  // References are not owned and outlive the executor's last task.
  FileFollower(FileFollowerOptions options, Executor& executor, const Clock& clock, Apply apply,
               Report report);

  // Begins to poll.
  void Start();

  // Reads the files soon, and reports even when nothing has changed.
  void Reload();

  FileFollowerStatus Status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Poll();
  void ReadNow(bool asked) ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<std::string>> ReadFiles() const;
  // Files that said something and do not any more.
  absl::Status CheckSaying(const std::vector<std::string>& texts) const;

  const FileFollowerOptions options_;
  Executor& executor_;
  const Clock& clock_;
  const Apply apply_;
  const Report report_;
  // On the executor only.
  std::vector<std::string> seen_texts_;  // Or the error, that was seen last.
  std::string seen_error_;
  std::vector<bool> says_nothing_;  // Of what is in force.

  mutable absl::Mutex mu_;
  FileFollowerStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_FILE_FOLLOWER_H_
