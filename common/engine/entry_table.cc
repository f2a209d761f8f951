#include "common/engine/entry_table.h"

namespace meridian {

EntryTable::EntryTable() { segments_.push_back(std::make_unique<EntryNode*[]>(kSegmentSize)); }

EntryNode* EntryTable::Find(const EntryKey& key) const {
  EntryNode* node = BucketHead(IndexOf(static_cast<uint32_t>(key.hash)));
  while (node != nullptr && !node->Is(key)) node = node->chain;
  return node;
}

void EntryTable::Insert(EntryNode* node) {
  if (size_ >= bucket_count_) SplitOneBucket();
  EntryNode** bucket = Bucket(IndexOf(node->hash()));
  node->chain = *bucket;
  *bucket = node;
  ++size_;
}

void EntryTable::Remove(EntryNode* node) {
  EntryNode** link = Bucket(IndexOf(node->hash()));
  while (*link != node) link = &(*link)->chain;
  *link = node->chain;
  node->chain = nullptr;
  --size_;
}

void EntryTable::SplitOneBucket() {
  const size_t round_size = round_mask_ + 1;
  if (bucket_count_ == segments_.size() * kSegmentSize) {
    segments_.push_back(std::make_unique<EntryNode*[]>(kSegmentSize));
  }
  EntryNode** from = Bucket(bucket_count_ - round_size);
  EntryNode** to = Bucket(bucket_count_);
  while (*from != nullptr) {
    EntryNode* node = *from;
    if ((node->hash() & round_size) == 0) {
      from = &node->chain;
    } else {
      *from = node->chain;
      node->chain = *to;
      *to = node;
    }
  }
  if (++bucket_count_ == 2 * round_size) round_mask_ = 2 * round_size - 1;
}

}  // namespace meridian
