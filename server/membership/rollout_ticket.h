// RolloutTicket asks the coordinator whether this node may restart now, until it may: of a region
// one node at a time is away.
//
// It paces what can be paced: who finds no coordinator does not wait for one. Who waits already
// goes on waiting when the coordinator goes: there may be a new one soon, and others wait as well.
// Thread safety: Await may be called concurrently. `done` runs on the caller's thread, on the
// executor or on a thread of the transport, and must not block.

#ifndef MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_
#define MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_

#include <functional>
#include <memory>
#include <string>

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
  // what it still waits for.
  void Await(absl::Duration at_most, std::function<void(std::string why)> done);

 private:
  struct Wait {
    absl::Duration until;  // Monotonic.
    std::function<void(std::string)> done;
    bool refused = false;  // It was told to wait.
  };

  void Ask(const std::shared_ptr<Wait>& wait);
  void Take(const std::shared_ptr<Wait>& wait, const absl::StatusOr<TicketAnswer>& answer);
  void AskLater(const std::shared_ptr<Wait>& wait, absl::Duration pause, std::string why);

  const std::string id_;
  const CoordinatorClient& client_;
  CoordinatorTransport& transport_;
  const Clock& clock_;
  Executor& executor_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_MEMBERSHIP_ROLLOUT_TICKET_H_
