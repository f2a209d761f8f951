#include "common/engine/entry_node.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "common/base/hash.h"

namespace meridian {

EntryNode::EntryNode(const EntryKey& key, Entry& entry, bool has_extra)
    : value_(std::move(entry.value)),
      expires_ns_(absl::ToInt64Nanoseconds(entry.expires_at)),
      hlc_(entry.version.hlc),
      hash_(static_cast<uint32_t>(key.hash)),
      region_(entry.version.region),
      name_space_(key.name_space),
      key_size_(static_cast<uint16_t>(key.key.size())),
      slot_(key.slot % kSlotCount),
      encoding_(static_cast<uint16_t>(entry.encoding)),
      has_extra_(has_extra),
      pool_(entry.pool),
      weight_(std::clamp(entry.weight, kMinWeight, kMaxWeight)) {}

EntryNode::Owner EntryNode::Create(const EntryKey& key, Entry entry) {
  static_assert(kSlotCount <= 1024, "slot_ has 10 bits");
  assert(key.key.size() <= kMaxKeySize);
  const bool has_extra = NeedsExtra(entry);
  const size_t size = sizeof(EntryNode) + (has_extra ? sizeof(Extra) : 0) + key.key.size();
  void* memory = ::operator new(size);
  EntryNode* node = new (memory) EntryNode(key, entry, has_extra);
  if (has_extra) new (node + 1) Extra{std::move(entry.tags), entry.raw_size, entry.phantom_bytes};
  if (!key.key.empty()) std::memcpy(node->key_bytes(), key.key.data(), key.key.size());
  return Owner(node);
}

void EntryNode::Destroy(EntryNode* node) {
  if (node->has_extra_) const_cast<Extra*>(node->extra())->~Extra();
  node->~EntryNode();
  ::operator delete(static_cast<void*>(node));
}

std::string_view EntryNode::key() const {
  return {const_cast<EntryNode*>(this)->key_bytes(), key_size_};
}

size_t EntryNode::charge(ChargeMode mode) const {
  const size_t value = value_.size() + (has_extra_ ? extra()->phantom_bytes : 0);
  if (mode == ChargeMode::kValueBytes) return value;
  return kEntryOverheadBytes + key_size_ + value +
         (has_extra_ ? kExtraOverheadBytes + extra()->tags.size() : 0);
}

void EntryNode::CopyTo(Entry* entry) const {
  entry->value = value_;
  entry->version = version();
  entry->expires_at = absl::Nanoseconds(expires_ns_);
  entry->encoding = static_cast<Encoding>(encoding_);
  entry->raw_size = has_extra_ ? extra()->raw_size : static_cast<uint32_t>(value_.size());
  entry->tags = has_extra_ ? extra()->tags : Buffer();
  entry->pool = pool_;
  entry->weight = weight_;
  entry->hits = hits_;
  entry->phantom_bytes = has_extra_ ? extra()->phantom_bytes : 0;
}

}  // namespace meridian
