// What L1 is given of a record that L2 holds: by a read that missed, and by a refill.
//
// Thread safety: may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_L1_FILL_H_
#define MERIDIAN_SERVER_NODE_L1_FILL_H_

#include <optional>

#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/engine/entry.h"
#include "server/node/entry_rules.h"
#include "server/node/namespaces.h"
#include "server/node/node_context.h"
#include "server/node/record.h"

namespace meridian {

// The entry for Engine::PutFill at `now`, or nullopt when the key may not go into L1: by the
// policy, or because this node cannot tell now whether the record is alive. `ttl`: what is left of
// its life; `value`: its stored bytes, none for an absence.
std::optional<Entry> EntryOfRecord(const NodeContext& context, const Namespace& name_space,
                                   const NamespacePolicy& policy, const EntryKey& key,
                                   const Record& record, absl::Duration ttl, const Buffer& value,
                                   Placing placing, absl::Duration now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_L1_FILL_H_
