#include "common/engine/entry_node.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

namespace meridian {

static_assert(sizeof(EntryNode) + kMaxInlineKey + kMaxInlineValue + 8 + 48 <=
              BlockArena::kMaxBlock);
static_assert(kMaxInlineValue <= Buffer::Rep::kMaxEmbedded);
static_assert(kMaxInlineKey <= Buffer::Rep::kMaxEmbedded);

EntryNode::EntryNode(const EntryKey& key, const Entry& entry, uint32_t rep_word, bool has_extra)
    : hlc_low_(static_cast<uint32_t>(entry.version.hlc)),
      hlc_high_(static_cast<uint32_t>(entry.version.hlc >> 32)),
      region_(RegionTable::Intern(entry.version.region)),
      name_space_(key.name_space),
      pool_(entry.pool < kMaxPools ? entry.pool : kSharedPool),
      generation_(0),
      marked_(0),
      hits_(0),
      weight_(std::clamp(entry.weight, kMinWeight, kMaxWeight) - kMinWeight),
      has_extra_(has_extra),
      rep_{{1}, rep_word} {
  set_expires_at(entry.expires_at);
}

EntryNode::Owner EntryNode::Create(BlockArena& arena, const EntryKey& key, Entry entry,
                                   bool* grew) {
  assert(key.key.size() <= kMaxKeySize);
  const bool long_key = key.key.size() > kMaxInlineKey;
  const bool large_value = entry.value.size() > kMaxInlineValue;
  const bool has_extra = long_key || NeedsExtra(entry) ||
                         RegionTable::Intern(entry.version.region) == RegionTable::kFull;
  const size_t key_size = long_key ? 0 : key.key.size();
  const size_t value_size = large_value ? 0 : entry.value.size();
  const size_t size = has_extra ? ExtraOffset(key_size, value_size) + sizeof(Extra)
                                : sizeof(EntryNode) + key_size + value_size;
  void* memory = arena.Allocate(size, grew);
  if (memory == nullptr) return nullptr;
  const uint32_t rep_word = Buffer::Rep::kEmbedded | static_cast<uint32_t>(value_size) |
                            static_cast<uint32_t>(key_size) << 10 |
                            (key.slot % kSlotCount) << kSlotShift |
                            (static_cast<uint32_t>(entry.encoding) - 1) << kEncodingShift;
  EntryNode* node = new (memory) EntryNode(key, entry, rep_word, has_extra);
  char* bytes = reinterpret_cast<char*>(node + 1);
  if (key_size > 0) std::memcpy(bytes, key.key.data(), key_size);
  if (value_size > 0) std::memcpy(bytes + key_size, entry.value.view().data(), value_size);
  if (has_extra) {
    Extra* extra = new (node->extra()) Extra;
    extra->tags = std::move(entry.tags);
    extra->raw_size = entry.raw_size;
    extra->written = entry.written;
    extra->phantom_bytes = entry.phantom_bytes;
    extra->region = entry.version.region;
    if (large_value) extra->large_value = std::move(entry.value);
    if (long_key) {
      extra->long_key_size = static_cast<uint32_t>(key.key.size());
      extra->long_key = std::make_unique<char[]>(key.key.size());
      std::memcpy(extra->long_key.get(), key.key.data(), key.key.size());
    }
  }
  return Owner(node);
}

void EntryNode::Destroy(EntryNode* node) {
  if (node->has_extra_) node->extra()->~Extra();
  // The last Buffer returns the block; this one when there is none.
  Buffer::Unleak(&node->rep_);
}

size_t EntryNode::block_size() const {
  return has_extra_ ? ExtraOffset(rep_.bytes_between(), rep_.size()) + sizeof(Extra)
                    : sizeof(EntryNode) + rep_.bytes_between() + rep_.size();
}

EntryNode* EntryNode::CopyToNewBlock(BlockArena& arena) {
  assert(!is_shared());
  const size_t size = block_size();
  void* memory = arena.Allocate(size);
  if (memory == nullptr) return nullptr;
  // All members may be copied as bytes: the one reference is the node's own.
  std::memcpy(memory, static_cast<const void*>(this), size);
  return std::launder(static_cast<EntryNode*>(memory));
}

void EntryNode::set_expires_at(absl::Duration at) {
  const int64_t units = at >= absl::Nanoseconds(kExpiryUnitNs) * kLastUnit
                            ? kLastUnit
                            : std::max<int64_t>(absl::ToInt64Nanoseconds(at), 0) / kExpiryUnitNs;
  expires_low_ = static_cast<uint32_t>(units);
  expires_high_ = static_cast<uint32_t>(units >> 32);
}

size_t EntryNode::charge(ChargeMode mode) const {
  const size_t value = value_size() + (has_extra_ ? extra()->phantom_bytes : 0);
  if (mode == ChargeMode::kValueBytes) return value;
  const bool charged_extra =
      has_extra_ &&
      (!extra()->tags.empty() || extra()->raw_size != value_size() || extra()->phantom_bytes != 0 ||
       extra()->written != 0 || !extra()->large_value.empty());
  return kEntryOverheadBytes + key().size() + value +
         (charged_extra ? kExtraOverheadBytes + extra()->tags.size() : 0);
}

void EntryNode::CopyTo(Entry* entry) {
  entry->value = rep_.size() == 0 ? Buffer() : Buffer::To(rep_);
  entry->version = version();
  const int64_t expires = expires_ns();
  entry->expires_at =
      expires == kNeverExpires ? absl::InfiniteDuration() : absl::Nanoseconds(expires);
  entry->encoding = encoding();
  entry->raw_size = rep_.size();
  entry->tags = Buffer();
  entry->written = 0;
  entry->pool = pool();
  entry->weight = static_cast<int8_t>(weight());
  entry->hits = static_cast<uint8_t>(hits_);
  entry->phantom_bytes = 0;
  if (!has_extra_) return;
  const Extra& more = *extra();
  if (!more.large_value.empty()) entry->value = more.large_value;
  entry->raw_size = more.raw_size;
  entry->tags = more.tags;
  entry->written = more.written;
  entry->phantom_bytes = more.phantom_bytes;
}

}  // namespace meridian
