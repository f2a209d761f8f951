#include "server/membership/node_drain.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {

NodeDrain::NodeDrain(std::string id, CoordinatorClient& client, RolloutTicket& ticket,
                     TopologyHolder& topology, const Clock& clock, Executor& executor)
    : id_(std::move(id)),
      client_(client),
      ticket_(ticket),
      topology_(topology),
      clock_(clock),
      executor_(executor),
      slots_gone_(topology, id_) {}

void NodeDrain::Start(absl::Duration timeout, std::function<void(absl::Status)> done) {
  const TopologyHolder::Snapshot now = topology_.Get();
  const bool alone =
      std::none_of(now->members().begin(), now->members().end(), [this](const Member& member) {
        return member.id != id_ && member.state == MemberState::kServing;
      });
  if (alone) {
    return done(absl::FailedPreconditionError(
        "LAST_NODE: no other node of the region serves, nobody would own the slots; start another "
        "one first, or send SIGTERM to end the region's last node"));
  }
  if (const CoordinatorClientStatus status = client_.status(); !status.connected) {
    return done(absl::UnavailableError(absl::StrCat(
        "NO_COORDINATOR: no coordinator answers, so nobody gives the slots to others: ",
        status.problem)));
  }
  const absl::Duration until = clock_.Monotonic() + timeout;
  ticket_.Await(timeout, [this, until, done = std::move(done)](const std::string& why) {
    if (why.empty()) return GiveAway(until, done);
    done(absl::DeadlineExceededError(absl::StrCat("one node restarts at a time: ", why)));
  });
}

void NodeDrain::GiveAway(absl::Duration until, std::function<void(absl::Status)> done) {
  struct Call {
    std::atomic<bool> over{false};
    std::function<void(absl::Status)> done;
  };
  auto call = std::make_shared<Call>();
  call->done = std::move(done);
  client_.SetState(MemberState::kDraining);
  slots_gone_.Await([call] {
    if (!call->over.exchange(true)) call->done(absl::OkStatus());
  });
  executor_.PostAfter(std::max(absl::ZeroDuration(), until - clock_.Monotonic()), [this, call] {
    if (call->over.exchange(true)) return;
    client_.SetState(MemberState::kServing);
    call->done(
        absl::DeadlineExceededError("nobody has taken the slots over in time; the node serves on"));
  });
}

}  // namespace meridian
