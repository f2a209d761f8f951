// What a namespace's policy does to an entry while the node serves: how long it lives in either
// tier, whether it goes into L1 at all and into which pool, and what its hits change.
//
// A namespace whose policy asks for none of the rules that need to know a key's past (WatchesKeys)
// is served without them: one branch a key. Thread safety: the functions may be called
// concurrently.

#ifndef MERIDIAN_SERVER_NODE_ENTRY_RULES_H_
#define MERIDIAN_SERVER_NODE_ENTRY_RULES_H_

#include "server/node/node_context.h"
#include "server/node/operations.h"

namespace meridian {

// True when NodeContext::activity must be told of every request of the namespace's keys.
bool WatchesKeys(const NamespacePolicy& policy);

// The life of a value that is written now with `version`, or touched: the writer's TTL as it is, or
// the policy's, shortened by the jitter of this key and version.
absl::Duration LifeOf(const NodeContext& context, const NamespacePolicy& policy,
                      const WriteItem& item, const EntryKey& key, Version version);

// Why a value would go into L1.
enum class Placing : uint8_t {
  kFill,   // A read found it in L2: promotion and admission decide.
  kWrite,  // It was written to L2: admission decides.
  kOnly,   // There is no L2: it goes into L1.
  kAgain,  // It is in L1, or was in that of the slot's last owner, which has asked: it goes into
           // L1.
};

// Gives `entry`, of which L2 has a copy for `remaining`, its expiry, pool and weight. False: it is
// not to go into L1. REQUIRES: value, version and raw_size are set.
bool PlaceEntry(const NodeContext& context, const Namespace& name_space,
                const NamespacePolicy& policy, const EntryKey& key, absl::Duration remaining,
                absl::Duration now, Placing placing, Entry* entry);

// Notes what L1 was asked for in the namespace's TrafficLog, if there is one.
void NoteTraffic(const Namespace& name_space, TrafficKind kind, const EntryKey& key,
                 absl::Duration now);
// Of an entry that is in L1, or is put there. The given life is what it would get if it came now.
void NoteEntry(const Namespace& name_space, TrafficKind kind, const EntryKey& key, size_t charge,
               LoggedLife life, absl::Duration now);

// The life of a value that a what-if question about the TTL does not change. The question is about
// l1_ttl, so that it is what L2 has left; or, where the policy has none, about ttl: then it is what
// another than the policy gave. `total`: the value's life from its writing; `remaining`: what is
// left of it.
absl::Duration OwnLife(const NamespacePolicy& policy, absl::Duration total,
                       absl::Duration remaining);

// What a hit asks for, ahead of the entry's expiry: to read the key from L2 again, or to load it
// from the origin, because its life in L2 ends as well.
enum class HitFollowUp : uint8_t { kNothing, kReadL2, kLoad };

// A hit in L1 of a namespace that WatchesKeys: counts it, lengthens the life of an entry that has
// earned it, moves it to a hotter pool.
HitFollowUp OnL1Hit(const NodeContext& context, const Namespace& name_space,
                    const NamespacePolicy& policy, const EntryKey& key, const Entry& entry,
                    absl::Duration now);

// How much longer L1 keeps an entry that L2 was found to hold unchanged for `remaining`.
absl::Duration L1LifeOf(const NodeContext& context, const NamespacePolicy& policy,
                        const EntryKey& key, Version version, absl::Duration remaining,
                        absl::Duration now);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_ENTRY_RULES_H_
