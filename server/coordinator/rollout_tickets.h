// RolloutTickets paces restarts: of a region at most one node at a time is away or cold because
// somebody restarts it.
//
// A ticket is given when no other member joins, drains or is cold, and nobody else has one. It is
// over when its holder serves again, as another process, and is warm; or has been seen to be away
// for `absence`, as after scaling down; or when it still serves as the same process after kUnused,
// because it did not go or came to stay; or when it gives it back, which is the same at once.
// Promise: between two nodes that were given tickets one after the other, the first was warm again,
//   or these times have passed, also when the leader changes: TicketLead stores who has one.
// Thread safety: none; used by one thread (the coordinator's executor).

#ifndef MERIDIAN_SERVER_COORDINATOR_ROLLOUT_TICKETS_H_
#define MERIDIAN_SERVER_COORDINATOR_ROLLOUT_TICKETS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/coordinator/cluster_membership.h"

namespace meridian {

class RolloutTickets {
 public:
  static constexpr double kWarm = 0.8;
  static constexpr absl::Duration kUnused = absl::Seconds(5);
  static constexpr absl::Duration kAbsence = absl::Seconds(30);

  explicit RolloutTickets(absl::Duration absence = kAbsence) : absence_(absence) {}

  // Whether `node` may restart now; asking again keeps what was given. `nodes`: all members now.
  // Empty: granted; else why not, for people.
  std::string Ask(const std::string& node, const std::vector<NodeView>& nodes, absl::Duration now);

  // `node` does not want to restart any more. Only the process that got the ticket can give it
  // back; of any other, or one that is no member, nothing changes: who is away under a ticket keeps
  // it.
  void GiveBack(const std::string& node, const std::vector<NodeView>& nodes);

  // Who has one, for Restore by the next leader; empty: nobody.
  std::string Encode() const;
  void Restore(const std::string& encoded, absl::Duration now);

  // Nobody has one.
  void Forget() { holder_.clear(); }

 private:
  void Give(const std::string& node, uint64_t incarnation, absl::Duration now);
  bool IsOver(const std::vector<NodeView>& nodes, absl::Duration now);

  const absl::Duration absence_;
  std::string holder_;  // Empty: nobody.
  uint64_t incarnation_ = 0;
  absl::Duration serves_since_;  // As the process that got it, as far as it was seen.
  absl::Duration away_since_ = absl::InfiniteDuration();  // Of the holder, as far as it was seen.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_COORDINATOR_ROLLOUT_TICKETS_H_
