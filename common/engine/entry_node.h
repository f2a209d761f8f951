// EntryNode is an entry as a shard keeps it: one block of a BlockArena with the node in front, then
// the key's bytes, then the value's. docs/adr/0008-engine-memory.md tells why it is packed like
// this.
//
// The value is in the block up to kMaxInlineValue bytes, and is handed out as a Buffer that refers
// into the block: the block lives until the node is destroyed and no such Buffer is left. Larger
// values stay the Buffers that they came as. Cost: sizeof(EntryNode) is 44 bytes; links are 32-bit
// handles. What few entries have (tags, a large
//   value, a long key) takes an Extra at the end of the block, only there.
// Thread safety: none; the shard's lock covers a node from Create until it is removed.

#ifndef MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_
#define MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>

#include "absl/time/time.h"
#include "common/base/block_arena.h"
#include "common/base/buffer.h"
#include "common/base/hash.h"
#include "common/base/page_region.h"
#include "common/base/version.h"
#include "common/engine/entry.h"
#include "common/engine/node_links.h"
#include "common/engine/region_table.h"

namespace meridian {

class EntryNode {
 public:
  static constexpr size_t kMaxKeySize = std::numeric_limits<uint16_t>::max();
  static constexpr uint32_t kGenerations = 32;  // generation() is kept modulo this.

  struct Deleter {
    void operator()(EntryNode* node) const { Destroy(node); }
  };
  using Owner = std::unique_ptr<EntryNode, Deleter>;

  // nullptr when the region of small blocks is used up. `*grew`: see BlockArena::Allocate.
  // REQUIRES: key.key.size() <= kMaxKeySize.
  static Owner Create(BlockArena& arena, const EntryKey& key, Entry entry, bool* grew = nullptr);
  static void Destroy(EntryNode* node);

  // A copy in another block, its links too; nullptr when the region is used up. Either this node or
  // the copy must then be given up by LeaveToCopy. REQUIRES: !is_shared().
  EntryNode* CopyToNewBlock(BlockArena& arena);
  // The copy owns what is outside the block; this node only waits for Destroy.
  void LeaveToCopy() {
    has_extra_ = 0;
    wheel_links = {};
  }

  static EntryNode* At(NodeHandle handle) {
    return static_cast<EntryNode*>(PageRegion::At(handle));
  }
  NodeHandle handle() const { return PageRegion::HandleOf(this); }

  // For a handle that is about to be followed.
  static void Prefetch(NodeHandle handle) {
    const char* at = static_cast<const char*>(PageRegion::At(handle));
    __builtin_prefetch(at);
    __builtin_prefetch(at + 64);
  }

  bool Is(const EntryKey& key) const {
    return name_space_ == key.name_space && this->key() == key.key;
  }
  std::string_view key() const {
    if (has_extra_ && extra()->long_key != nullptr) {
      return {extra()->long_key.get(), extra()->long_key_size};
    }
    return {reinterpret_cast<const char*>(this + 1), rep_.bytes_between()};
  }
  // Encoded; see tag_list.h.
  std::string_view tags() const { return has_extra_ ? extra()->tags.view() : std::string_view(); }
  size_t charge(ChargeMode mode = ChargeMode::kAll) const;
  void CopyTo(Entry* entry);
  // Whether Buffers refer into the block. When not, only CopyTo can change that.
  bool is_shared() const { return rep_.references.load(std::memory_order_acquire) > 1; }

  NamespaceId name_space() const { return static_cast<NamespaceId>(name_space_); }
  uint32_t slot() const { return rep_.word >> kSlotShift & (kSlotCount - 1); }
  Version version() const {
    return {uint64_t{hlc_high_} << 32 | hlc_low_,
            region_ == RegionTable::kFull ? extra()->region : RegionTable::RegionOf(region_)};
  }
  // The clock that fences are compared with; see Entry::written.
  uint64_t written_hlc() const {
    const uint64_t written = has_extra_ ? extra()->written : 0;
    return written != 0 ? written : uint64_t{hlc_high_} << 32 | hlc_low_;
  }
  // Whole units of kExpiryUnit; kNeverExpires stands for everything later.
  int64_t expires_ns() const {
    const int64_t units = int64_t{expires_high_} << 32 | expires_low_;
    return units == kLastUnit ? kNeverExpires : units * kExpiryUnitNs;
  }
  // REQUIRES: in no TtlWheel.
  void set_expires_at(absl::Duration at);

  // The generation of the slot when the node was inserted, modulo kGenerations; see
  // SlotGenerations.
  uint32_t generation() const { return generation_; }
  void set_generation(uint32_t generation) { generation_ = generation % kGenerations; }

  // The policy that the node is in is not told.
  PoolId pool() const { return static_cast<PoolId>(pool_); }
  void set_pool(PoolId pool) { pool_ = pool; }

  int weight() const { return static_cast<int>(weight_) + kMinWeight; }  // Entry::weight.
  int hits() const { return hits_; }  // Counted by the shard, up to kMaxEntryHits.
  void CountHit() {
    if (hits_ < kMaxEntryHits) ++hits_;
  }

  // Whether the shard's WarmLedger has a mark of it.
  bool is_marked() const { return marked_ != 0; }
  void set_marked(bool marked) { marked_ = marked ? 1 : 0; }

  // Each for one owner alone: the table (or the list of removed nodes), the policy, the wheel.
  NodeHandle chain = 0;
  uint32_t policy_index = 0;
  NodeLinks wheel_links;  // Both 0: in no wheel.

 private:
  static constexpr int64_t kLastUnit = (int64_t{1} << 42) - 1;  // 13.9 years.
  static constexpr int64_t kNeverExpires = std::numeric_limits<int64_t>::max();
  static constexpr int kSlotShift = Buffer::Rep::kOwnerShift;
  static constexpr int kEncodingShift = kSlotShift + 10;

  // Sits behind the value when has_extra_.
  struct Extra {
    Buffer tags;
    Buffer large_value;
    std::unique_ptr<char[]> long_key;
    uint64_t written = 0;
    uint32_t long_key_size = 0;
    uint32_t raw_size = 0;
    uint32_t phantom_bytes = 0;
    uint16_t region = 0;
  };

  EntryNode(const EntryKey& key, const Entry& entry, uint32_t rep_word, bool has_extra);
  ~EntryNode() = default;
  static size_t ExtraOffset(size_t key_size, size_t value_size) {
    return (sizeof(EntryNode) + key_size + value_size + alignof(Extra) - 1) / alignof(Extra) *
           alignof(Extra);
  }
  size_t block_size() const;
  Extra* extra() const {
    return reinterpret_cast<Extra*>(const_cast<char*>(reinterpret_cast<const char*>(this)) +
                                    ExtraOffset(rep_.bytes_between(), rep_.size()));
  }
  Encoding encoding() const { return static_cast<Encoding>((rep_.word >> kEncodingShift & 1) + 1); }
  size_t value_size() const {
    return has_extra_ && !extra()->large_value.empty() ? extra()->large_value.size() : rep_.size();
  }

  uint32_t hlc_low_;
  uint32_t hlc_high_;
  uint32_t expires_low_;
  uint32_t expires_high_ : 10;
  uint32_t region_ : 5;
  uint32_t name_space_ : 10;
  uint32_t pool_ : 7;

 public:
  // For the eviction policy alone.
  uint16_t policy_bits = 0;

 private:
  uint16_t generation_ : 5;
  uint16_t marked_ : 1;
  uint16_t hits_ : 6;
  uint16_t weight_ : 3;
  uint16_t has_extra_ : 1;
  // The value's, with the key's size in between and our bits: 10 of the slot, 1 of the encoding.
  // The node itself holds one reference.
  Buffer::Rep rep_;
};

static_assert(sizeof(EntryNode) == 44);
static_assert(kSlotCount == 1024 && kMaxPools == 128 && kMaxEntryHits == 63);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENTRY_NODE_H_
