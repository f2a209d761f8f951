// UpdateReporter tells the region's leading coordinator which keys clients have changed through
// this node (UpdateLog), as events of kind "update" for its rules.
//
// A namespace that no rule for updates is for is left alone for `quiet`: the first event of each
//   report has no key, and asks that. Without a coordinator nothing is told: keys wait within the
//   bounds of the log. A report that is not answered is made again, up to kMaxTries times: at worst
//   an update is told twice.
// Cost: of a namespace that rules are for one call a second while it is written to, of others one
//   every `quiet`; one call at a time.
// Thread safety: counters() by any thread; the work is done on the executor. REQUIRES:
//   the executor is stopped before this is destroyed.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_UPDATE_REPORTER_H_
#define MERIDIAN_SERVER_MEMBERSHIP_UPDATE_REPORTER_H_

#include <atomic>
#include <cstdint>
#include <deque>

#include "absl/time/time.h"
#include "common/base/executor.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/coordinator_transport.h"
#include "server/node/update_log.h"

namespace meridian {

struct UpdateReporterOptions {
  absl::Duration interval = absl::Seconds(1);
  absl::Duration quiet = absl::Seconds(30);
  absl::Duration timeout = absl::Seconds(2);  // Of a call.
};

// Keys, by what became of them.
struct UpdateCounters {
  uint64_t reported = 0;
  uint64_t unwanted = 0;  // Told, and no rule is for their namespace.
  uint64_t refused = 0;   // The coordinator does not take them.
  uint64_t dropped = 0;   // No room, or not answered for too long.
};

class UpdateReporter {
 public:
  static constexpr int kMaxTries = 30;

  // References outlive the executor's last task.
  UpdateReporter(UpdateReporterOptions options, const CoordinatorClient& client,
                 CoordinatorTransport& transport, UpdateLog& log, Executor& executor);

  void Start();
  UpdateCounters counters() const;

 private:
  void Tick();
  void SendNext();
  void HandleAnswer(const absl::StatusOr<UpdateAnswer>& answer);
  void HandleFailure(const absl::Status& status);
  void LeaveAlone(NamespaceId id);
  void DropFirst(std::atomic<uint64_t>* counter);

  const UpdateReporterOptions options_;
  const CoordinatorClient& client_;
  CoordinatorTransport& transport_;
  UpdateLog& log_;
  Executor& executor_;

  // Used on the executor only.
  std::deque<UpdateLog::Batch> batches_;  // To be told; the first is on its way while busy_.
  bool busy_ = false;
  int tries_ = 0;  // In a row that told nothing.

  std::atomic<uint64_t> reported_{0};
  std::atomic<uint64_t> unwanted_{0};
  std::atomic<uint64_t> refused_{0};
  std::atomic<uint64_t> given_up_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_UPDATE_REPORTER_H_
