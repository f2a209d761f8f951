// L1Writer carries out writes of a node that has no regional store: L1 is all there is.
//
// Conditions are judged and the entry is put under one of a few locks, chosen by the key's hash, so
// that two conditional writes of a key cannot both win. Never waits for anything else. Thread
// safety: Write may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_L1_WRITER_H_
#define MERIDIAN_SERVER_NODE_L1_WRITER_H_

#include <array>

#include "absl/synchronization/mutex.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/value_codec.h"

namespace meridian {

class L1Writer {
 public:
  // `context` is not owned and outlives this.
  explicit L1Writer(const NodeContext& context) : context_(context) {}

  // REQUIRES: this node owns the key; `key.key` == `item.key`.
  // `value` is the item's, as it is to be stored.
  WriteResult Write(const Namespace& name_space, const NamespacePolicy& policy, const EntryKey& key,
                    const WriteItem& item, const StoredValue& value);

 private:
  WriteResult WriteLocked(const Namespace& name_space, const NamespacePolicy& policy,
                          const EntryKey& key, const WriteItem& item, const StoredValue& value);

  const NodeContext& context_;
  std::array<absl::Mutex, 64> stripes_;
};

// Of a value that no tier can hold.
Error TooLargeForL1Error();

// The entry that L1 holds for a value that was just written, but for what PlaceEntry gives it.
Entry EntryOf(const WriteItem& item, const StoredValue& value, Version version);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_L1_WRITER_H_
