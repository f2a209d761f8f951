#include "common/engine/entry_table.h"

namespace meridian {

EntryTable::EntryTable(KeyHasher hasher) : hasher_(hasher) {
  segments_.push_back(std::make_unique<NodeHandle[]>(kSegmentSize));
}

EntryNode* EntryTable::Find(const EntryKey& key) const {
  NodeHandle handle = HandleAt(IndexOf(static_cast<uint32_t>(key.hash)));
  while (handle != 0) {
    EntryNode* node = EntryNode::At(handle);
    if (node->Is(key)) return node;
    handle = node->chain;
  }
  return nullptr;
}

void EntryTable::Insert(EntryNode* node) {
  if (size_ >= bucket_count_) SplitOneBucket();
  NodeHandle* bucket = Bucket(IndexOf(hasher_.Of(*node)));
  node->chain = *bucket;
  *bucket = node->handle();
  ++size_;
}

NodeHandle* EntryTable::LinkTo(const EntryNode* node) {
  const NodeHandle handle = node->handle();
  NodeHandle* link = Bucket(IndexOf(hasher_.Of(*node)));
  while (*link != handle) link = &EntryNode::At(*link)->chain;
  return link;
}

void EntryTable::Remove(EntryNode* node) {
  *LinkTo(node) = node->chain;
  node->chain = 0;
  --size_;
}

void EntryTable::TakePlace(const EntryNode* old, EntryNode* node) { *LinkTo(old) = node->handle(); }

void EntryTable::SplitOneBucket() {
  const size_t round_size = round_mask_ + 1;
  if (bucket_count_ == segments_.size() * kSegmentSize) {
    segments_.push_back(std::make_unique<NodeHandle[]>(kSegmentSize));
  }
  NodeHandle* from = Bucket(bucket_count_ - round_size);
  NodeHandle* to = Bucket(bucket_count_);
  while (*from != 0) {
    EntryNode* node = EntryNode::At(*from);
    if ((hasher_.Of(*node) & round_size) == 0) {
      from = &node->chain;
    } else {
      const NodeHandle moved = *from;
      *from = node->chain;
      node->chain = *to;
      *to = moved;
    }
  }
  if (++bucket_count_ == 2 * round_size) round_mask_ = 2 * round_size - 1;
}

}  // namespace meridian
