// PolicyStore follows the file that the policies were read from (FileFollower), so that an edit
// takes effect without a restart.
//
// Promise: `apply` is given whole, valid tables, one after the other. A file that is wrong, gone or
//   says nothing changes nothing: who wants no policies writes `namespaces: {}`.
// Cost and thread safety: those of FileFollower; `apply` runs on the executor.

#ifndef MERIDIAN_SERVER_POLICY_POLICY_STORE_H_
#define MERIDIAN_SERVER_POLICY_POLICY_STORE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/policy/file_follower.h"
#include "server/policy/policy_table.h"

namespace meridian {

struct PolicyStoreOptions {
  std::string file;
  PolicyTable::FileKind kind = PolicyTable::FileKind::kPolicies;
  std::string text;  // What is in force already.
  absl::Duration poll = absl::Seconds(5);
};

struct PolicyStoreStatus : FileFollowerStatus {
  std::string file;
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
  void Start() { file_.Start(); }

  // Reads the file soon, and reports even when nothing has changed.
  void Reload() { file_.Reload(); }

  PolicyStoreStatus Status() const { return {file_.Status(), options_.file}; }

 private:
  const PolicyStoreOptions options_;
  FileFollower file_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_POLICY_STORE_H_
