// PolicyStore follows the file that the policies were read from, so that an edit takes effect
// without a restart.
//
// The file is read every `poll`, and when somebody asks for it (SIGHUP). What counts is its text:
// files that are swapped by a link (Kubernetes' ConfigMaps) are followed, and a file that was only
// touched changes nothing.
// Promise: `apply` is given whole, valid tables, one after the other. A file that is wrong or gone
//   changes nothing: what was in force stays, the problem is told by Status() until the file is
//   right again, and is logged once for each text. So does a file that says nothing, as an editor
//   leaves it for a moment: who wants no policies writes `namespaces: {}`.
// Cost: one read of a small file every `poll`.
// Thread safety: all methods may be called concurrently; `apply` runs on the executor.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_STORE_H_
#define MERIDIAN_SERVER_POLICY_POLICY_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/policy/policy_table.h"

namespace meridian {

struct PolicyStoreOptions {
  std::string file;
  PolicyTable::FileKind kind = PolicyTable::FileKind::kPolicies;
  std::string text;  // What is in force already.
  absl::Duration poll = absl::Seconds(5);
};

struct PolicyStoreStatus {
  std::string file;
  absl::Time loaded_at;  // When what is in force was read.
  uint64_t reloads = 0;
  uint64_t failed_reloads = 0;
  std::string problem;  // Of the last reload, with file and line; empty: it was fine.
};

class PolicyStore {
 public:
  using Apply = std::function<void(std::shared_ptr<const PolicyTable>)>;
  // For logs: a reload and its problem (empty: none).
  using Report = std::function<void(const PolicyStoreStatus&)>;

  // References are not owned and outlive the executor's last task.
  PolicyStore(PolicyStoreOptions options, Executor& executor, const Clock& clock, Apply apply,
              Report report);

  // Begins to poll.
  void Start();

  // Reads the file soon, and reports even when nothing has changed.
  void Reload();

  PolicyStoreStatus Status() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Poll();
  void ReadNow(bool asked) ABSL_LOCKS_EXCLUDED(mu_);

  const PolicyStoreOptions options_;
  Executor& executor_;
  const Clock& clock_;
  const Apply apply_;
  const Report report_;
  // On the executor only: the text, or the error, that was seen last.
  std::optional<std::string> seen_text_;
  std::string seen_error_;
  bool says_nothing_;  // What is in force was read from a file that says nothing.

  mutable absl::Mutex mu_;
  PolicyStoreStatus status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_STORE_H_
