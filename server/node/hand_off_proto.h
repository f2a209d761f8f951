// Handed-over entries on the wire and back.

#ifndef MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_
#define MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_

#include <optional>
#include <string_view>

#include "common/base/clock.h"
#include "common/rpc/error.h"
#include "meridian/peer/v1/peer_service.pb.h"
#include "server/node/hand_off.h"

namespace meridian {

// REQUIRES: item.tags is what EncodeTags writes.
void ToProto(const HandOffItem& item, peer::v1::HandOffEntry* proto);

// What is wrong with an entry that another node has sent, or nullopt: names and sizes within the
// limits, a version, a life, an encoding. `field` names the place in the request.
std::optional<Error> CheckHandOffEntry(const peer::v1::HandOffEntry& proto, std::string_view field);

// How long ago a message was sent, or a little more, by the receiver's steady clock: what wall
// clocks show does not matter. A message that does not say, as of an older release, is taken for as
// old as the wall clocks of both can differ at most (HybridClock::kMaxSkew) and what they show
// besides: never for younger than it is. Infinite when it tells no wall clock either, or one that
// is further ahead.
absl::Duration AgeOf(const peer::v1::HandOffRequest& request, const Clock& clock);

// What arrives after `age` on the way: the rest of its life, zero or less when that is over.
// REQUIRES: CheckHandOffEntry has nothing to say.
HandOffItem FromProto(const peer::v1::HandOffEntry& proto, absl::Duration age);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_
