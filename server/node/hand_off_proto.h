// Handed-over entries on the wire and back.

#ifndef MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_
#define MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_

#include <optional>
#include <string_view>

#include "common/rpc/error.h"
#include "meridian/peer/v1/peer_service.pb.h"
#include "server/node/hand_off.h"

namespace meridian {

// REQUIRES: item.tags is what EncodeTags writes.
void ToProto(const HandOffItem& item, peer::v1::HandOffEntry* proto);

// What is wrong with an entry that another node has sent, or nullopt: names and sizes within the
// limits, a version, a life, an encoding. `field` names the place in the request.
std::optional<Error> CheckHandOffEntry(const peer::v1::HandOffEntry& proto, std::string_view field);

// How long ago a message was sent, by the clocks of both; zero when it does not say.
absl::Duration AgeOf(const peer::v1::PeerHeader& header, absl::Time now);

// What arrives after `age` on the way: the rest of its life, zero or less when that is over.
// REQUIRES: CheckHandOffEntry has nothing to say.
HandOffItem FromProto(const peer::v1::HandOffEntry& proto, absl::Duration age);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_HAND_OFF_PROTO_H_
