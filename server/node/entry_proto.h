// Results on the wire and back. Used by the services and by the peer transport.

#ifndef MERIDIAN_SERVER_NODE_ENTRY_PROTO_H_
#define MERIDIAN_SERVER_NODE_ENTRY_PROTO_H_

#include <optional>

#include "meridian/cache/v1/cache_service.pb.h"
#include "meridian/peer/v1/peer_service.pb.h"
#include "server/node/fence.h"
#include "server/node/operations.h"

namespace meridian {

void ToProto(const ReadResult& result, bool omit_value, cache::v1::Entry* proto);
// Takes the value's bytes out of `proto` (one copy into a Buffer).
ReadResult FromProto(const cache::v1::Entry& proto);

void ToProto(const WriteResult& result, cache::v1::WriteResult* proto);
WriteResult FromProto(const cache::v1::WriteResult& proto);

void ToProto(const ReadOptions& options, cache::v1::ReadOptions* proto);
ReadOptions FromProto(const cache::v1::ReadOptions& proto);

// Views into `proto`.
WriteItem FromProto(const cache::v1::SetEntry& proto, WriteKind kind);
void ToProto(const WriteItem& item, cache::v1::SetEntry* proto);

void ToProto(const Fence& fence, peer::v1::Fence* proto);
// nullopt for what is no fence.
std::optional<Fence> FromProto(const peer::v1::Fence& proto);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ENTRY_PROTO_H_
