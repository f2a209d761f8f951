#include "server/membership/node_drain.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian {

NodeDrain::NodeDrain(std::string id, CoordinatorClient& client, TopologyHolder& topology,
                     Executor& executor)
    : id_(std::move(id)),
      client_(client),
      topology_(topology),
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
  executor_.PostAfter(timeout, [this, call, timeout] {
    if (call->over.exchange(true)) return;
    client_.SetState(MemberState::kServing);
    call->done(absl::DeadlineExceededError(absl::StrCat("the slots were not taken over within ",
                                                        absl::FormatDuration(timeout),
                                                        "; the node serves on")));
  });
}

}  // namespace meridian
