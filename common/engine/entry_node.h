// EntryNode is an entry as a shard keeps it: one allocation with the links of the table, the policy
// and the wheel in front, and the key's bytes behind.
//
// Cost: sizeof(EntryNode) is 96 bytes. What few entries have (tags, a raw size of its own) takes
//   16 bytes more, only there.
// Thread safety: none; the shard's lock covers a node from Insert until it is removed.

#ifndef MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_
#define MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/buffer.h"
#include "common/base/version.h"
#include "common/engine/entry.h"
#include "common/engine/intrusive_list.h"

namespace meridian {

struct PolicyTag;
struct WheelTag;
using PolicyLink = ListLink<PolicyTag>;
using WheelLink = ListLink<WheelTag>;

class EntryNode : public PolicyLink, public WheelLink {
 public:
  static constexpr size_t kMaxKeySize = std::numeric_limits<uint16_t>::max();

  struct Deleter {
    void operator()(EntryNode* node) const { Destroy(node); }
  };
  using Owner = std::unique_ptr<EntryNode, Deleter>;

  // REQUIRES: key.key.size() <= kMaxKeySize.
  static Owner Create(const EntryKey& key, Entry entry);
  static void Destroy(EntryNode* node);

  static EntryNode* FromPolicy(PolicyLink* link) { return static_cast<EntryNode*>(link); }
  static EntryNode* FromWheel(WheelLink* link) { return static_cast<EntryNode*>(link); }

  bool Is(const EntryKey& key) const {
    return hash_ == static_cast<uint32_t>(key.hash) && name_space_ == key.name_space &&
           this->key() == key.key;
  }
  std::string_view key() const;
  size_t charge(ChargeMode mode = ChargeMode::kAll) const;
  void CopyTo(Entry* entry) const;

  uint32_t hash() const { return hash_; }  // The low half of EntryKey::hash.
  NamespaceId name_space() const { return name_space_; }
  uint32_t slot() const { return slot_; }
  Version version() const { return {hlc_, region_}; }
  int64_t expires_ns() const { return expires_ns_; }

  // The generation of the slot when the node was inserted; see SlotGenerations.
  uint32_t generation() const { return generation_; }
  void set_generation(uint32_t generation) { generation_ = generation; }

  // The table and the policy that the node is in are not told.
  PoolId pool() const { return pool_; }
  void set_pool(PoolId pool) { pool_ = pool; }
  // REQUIRES: in no TtlWheel.
  void set_expires_at(absl::Duration at) { expires_ns_ = absl::ToInt64Nanoseconds(at); }

  int weight() const { return weight_; }  // Entry::weight.
  int hits() const { return hits_; }      // Counted by the shard, up to kMaxHits.
  void CountHit() { hits_ += hits_ < kMaxHits; }

  // For the eviction policy alone.
  uint16_t policy_bits = 0;

  // The next node of the hash bucket, or of the list of removed nodes.
  EntryNode* chain = nullptr;

 private:
  // Sits between the node and the key when has_extra_.
  struct Extra {
    Buffer tags;
    uint32_t raw_size;
    uint32_t phantom_bytes;
  };

  EntryNode(const EntryKey& key, Entry& entry, bool has_extra);
  ~EntryNode() = default;
  const Extra* extra() const { return reinterpret_cast<const Extra*>(this + 1); }
  char* key_bytes() { return reinterpret_cast<char*>(this + 1) + (has_extra_ ? sizeof(Extra) : 0); }

  Buffer value_;
  int64_t expires_ns_;
  uint64_t hlc_;
  uint32_t hash_;
  uint32_t generation_ = 0;
  uint16_t region_;
  NamespaceId name_space_;
  uint16_t key_size_;
  uint16_t slot_ : 10;
  uint16_t encoding_ : 2;
  uint16_t has_extra_ : 1;
  PoolId pool_;
  int8_t weight_;
  uint8_t hits_ = 0;
};

static_assert(sizeof(void*) != 8 || sizeof(EntryNode) <= 96);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_
