// The slots of a Redis Cluster: which one a key has, who serves it, and what a redirect says.
// Pure functions and values.
//
// Redis' 16384 hash slots are not ours: one of our 1024 slots, as the tag {n} of its keys, lies in
// exactly one of Redis' slots, and no two of ours share one.

#ifndef MERIDIAN_SERVER_L2_CLUSTER_SLOTS_H_
#define MERIDIAN_SERVER_L2_CLUSTER_SLOTS_H_

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/l2/reply.h"
#include "server/policy/redis_url.h"

namespace meridian {

inline constexpr size_t kRedisSlotCount = 16384;

// As Redis computes it: CRC16 of the key, or of what stands in its first {}, unless that is empty.
uint16_t RedisHashSlot(std::string_view key);
// Of all keys that have our slot as their tag. REQUIRES: slot < kSlotCount. Cost: one load.
uint16_t RedisHashSlotOf(uint32_t slot);

class SlotTable {
 public:
  // No cluster is larger (the specification recommends 1000 servers at most), and we connect to
  // whoever is named.
  static constexpr size_t kMaxPrimaries = 1000;
  static constexpr size_t kMaxServers = 5000;

  // From the answer of CLUSTER SLOTS that `asked` gave: a server that does not say its own address
  // is reached where it was asked. An answer that names more servers than there may be, or a slot
  // twice, is none.
  static absl::StatusOr<SlotTable> Parse(const Reply& reply, const RedisAddress& asked);

  // Primaries that have slots, sorted.
  const std::vector<RedisAddress>& primaries() const { return primaries_; }
  // Of that primary, as far as they are known.
  const std::vector<RedisAddress>& ReplicasOf(size_t primary) const { return replicas_[primary]; }
  // Index into primaries(); nullopt: nobody serves this slot.
  std::optional<size_t> PrimaryOf(uint16_t slot) const {
    return primary_of_[slot] == kNobody ? std::nullopt : std::optional<size_t>(primary_of_[slot]);
  }
  size_t covered_slots() const;
  // Differs when any slot has another primary.
  uint64_t Fingerprint() const;

  // The same with another primary of one slot.
  SlotTable With(uint16_t slot, const RedisAddress& primary) const;

 private:
  static constexpr uint16_t kNobody = 0xffff;

  std::vector<RedisAddress> primaries_;
  std::vector<std::vector<RedisAddress>> replicas_;  // By primary.
  std::vector<uint16_t> primary_of_ = std::vector<uint16_t>(kRedisSlotCount, kNobody);
};

// -MOVED and -ASK.
struct Redirect {
  bool ask = false;  // For this command only; else the slot has moved for good.
  uint16_t slot = 0;
  RedisAddress to;
};

// nullopt for every other error. `asked` is who sent it: an empty host means the same one.
std::optional<Redirect> ParseRedirect(std::string_view error, const RedisAddress& asked);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_CLUSTER_SLOTS_H_
