// RolloutTicket asks the coordinator whether this node may restart now, until it may: of a region
// one node at a time is away.
//
// It paces what can be paced: who finds no coordinator does not wait for one. Who waits already
// goes on waiting when the coordinator goes: there may be a new one soon, and others wait as well.
// A ticket that nobody of this node wants any more is given back at once. Where that is not heard,
// as by an older coordinator (which takes it for an ask), it ends by not being used: the
// coordinator takes it from whom it sees serve on (RolloutTickets::kUnused). Thread safety: all
// methods may be called concurrently. `wanted` and `done` run on the caller's thread, on the
// executor or on a thread of the transport, and must not block.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_
#define MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/executor.h"
#include "server/membership/coordinator_client.h"
#include "server/membership/coordinator_transport.h"

namespace meridian {

class RolloutTicket {
 public:
  // For the node `id`. References outlive this, and this the callbacks of the transport and
  // the tasks of the executor.
  RolloutTicket(std::string id, const CoordinatorClient& client, CoordinatorTransport& transport,
                const Clock& clock, Executor& executor);

  // Calls `done` once: with an empty text when the node may restart, else after `at_most`, with
  // what it still waits for. Once `wanted` says no nothing is asked any more, and `done` is not
  // called. Who may restart, and does not, calls GiveBack, once.
  void Await(absl::Duration at_most, std::function<bool()> wanted,
             std::function<void(std::string why)> done);

  // One of those who wanted it does not any more. Others of this node who do keep it.
  void GiveBack() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Wait {
    absl::Duration until;  // Monotonic.
    std::function<bool()> wanted;
    std::function<void(std::string)> done;
    bool refused = false;  // It was told to wait.
  };

  void Ask(const std::shared_ptr<Wait>& wait);
  void Take(const std::shared_ptr<Wait>& wait, const absl::StatusOr<TicketAnswer>& answer);
  void AskLater(const std::shared_ptr<Wait>& wait, absl::Duration pause, std::string why);
  bool IsGivingBack() const ABSL_LOCKS_EXCLUDED(mu_);

  const std::string id_;
  const CoordinatorClient& client_;
  CoordinatorTransport& transport_;
  const Clock& clock_;
  Executor& executor_;

  mutable absl::Mutex mu_;
  size_t wanted_by_ ABSL_GUARDED_BY(mu_) = 0;      // Who waits for it, or has it.
  bool may_have_it_ ABSL_GUARDED_BY(mu_) = false;  // It was granted, or an answer was lost.
  // Nothing is asked meanwhile: what is asked after it must not arrive before it.
  bool giving_back_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_
