#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/base/status_macros.h"
#include "server/app/node_parts.h"
#include "server/membership/static_topology.h"
#include "server/node/hottest_keys.h"

namespace meridian {
namespace {

constexpr absl::Duration kLeaveTimeout = absl::Seconds(2);

}  // namespace

absl::Status NodeParts::Join() {
  if (config.coordinators.empty()) {
    std::vector<Member> members = config.static_peers;
    if (members.empty()) members = {member};
    for (Member& peer : members) {
      peer.state = MemberState::kServing;
      if (peer.id == config.id) {
        peer.admin_address = member.admin_address;
        peer.http_address = member.http_address;
      }
    }
    ASSIGN_OR_RETURN(Topology fixed, StaticTopology(config.region, std::move(members)));
    topology.Offer(std::move(fixed));
    return absl::OkStatus();
  }
  coordinator_transport = std::make_unique<GrpcCoordinatorTransport>();
  CoordinatorClientOptions options;
  options.coordinators = config.coordinators;
  options.region = config.region;
  options.member = member;
  options.random_seed = RandomSeed();
  options.hot_keys = [this] { return HotKeysToReport(*namespaces, clock.Monotonic()); };
  coordinator_client = std::make_unique<CoordinatorClient>(std::move(options), clock, *housekeeping,
                                                           *coordinator_transport, topology);
  coordinator_client->Start();
  return absl::OkStatus();
}

void NodeParts::Leave() {
  if (coordinator_client == nullptr) return;
  if (coordinator_client->status().connected && !topology.Get()->SlotsOf(config.id).empty()) {
    // The listener stays with the holder after this function: what it tells must live as long.
    auto left = std::make_shared<absl::Notification>();
    topology.AddListener([left, id = config.id](const TopologyHolder::Snapshot&,
                                                const TopologyHolder::Snapshot& current) {
      if (current->SlotsOf(id).empty() && !left->HasBeenNotified()) left->Notify();
    });
    coordinator_client->SetState(MemberState::kDraining);
    left->WaitForNotificationWithTimeout(kLeaveTimeout);
  }
  auto stopped = std::make_shared<absl::Notification>();
  coordinator_client->Stop([stopped] { stopped->Notify(); });
  stopped->WaitForNotificationWithTimeout(kLeaveTimeout);
}

}  // namespace meridian
