// TierReport is what one tier holds of one key, for operators.

#ifndef MERIDIAN_SERVER_NODE_EXPLAIN_REPORT_H_
#define MERIDIAN_SERVER_NODE_EXPLAIN_REPORT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/version.h"
#include "common/engine/entry.h"
#include "common/rpc/error.h"
#include "meridian/peer/v1/peer_service.pb.h"
#include "server/node/operations.h"

namespace meridian {

// kFenced: a value that is dead, because something covers it that was invalidated later.
enum class Holding : uint8_t { kValue, kFenced, kTombstone, kAbsent, kUnavailable };

struct TierReport {
  Tier tier = Tier::kNone;
  // Of L1: a copy of a hot key of another node. Only what is held is reported.
  bool mirror = false;
  Holding holding = Holding::kAbsent;
  Version version;
  absl::Duration ttl;  // Until expiry; of a tombstone: until it is forgotten.
  uint64_t size = 0;
  uint64_t raw_size = 0;
  Encoding encoding = Encoding::kIdentity;
  std::vector<std::string> tags;
  std::optional<Error> error;  // Only with kUnavailable.
};

// On the wire between nodes, and back.
void ToProto(const TierReport& report, peer::v1::TierEntry* proto);
TierReport FromProto(const peer::v1::TierEntry& proto);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_EXPLAIN_REPORT_H_
