// EntryTable finds the node of a key: a chained hash table that grows by one bucket at a time.
//
// Linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980):
//   each insertion beyond one node a bucket splits one bucket, so no call ever rehashes the table.
// Cost: O(1) each call, 4 bytes a node. Never shrinks. Does not own the nodes.
// Thread safety: none; the shard's lock covers it.

#ifndef MERIDIAN_COMMON_ENGINE_ENTRY_TABLE_H_
#define MERIDIAN_COMMON_ENGINE_ENTRY_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/engine/entry.h"
#include "common/engine/entry_node.h"
#include "common/engine/key_hasher.h"

namespace meridian {

class EntryTable {
 public:
  // `hasher` is that of the engine.
  explicit EntryTable(KeyHasher hasher);

  // nullptr when there is none.
  EntryNode* Find(const EntryKey& key) const;

  // REQUIRES: no node of this key is in the table.
  void Insert(EntryNode* node);

  // REQUIRES: `node` is in the table.
  void Remove(EntryNode* node);

  // `node` has the key and the link of `old`, which is in the table: takes its place.
  void TakePlace(const EntryNode* old, EntryNode* node);

  // For a key that is about to be looked for.
  void Prefetch(uint64_t hash) const {
    const size_t index = IndexOf(static_cast<uint32_t>(hash));
    __builtin_prefetch(&segments_[index >> kSegmentBits][index & (kSegmentSize - 1)]);
  }

  // For a key whose bucket was fetched: its first node.
  void PrefetchHead(uint64_t hash) const {
    const NodeHandle head = HandleAt(IndexOf(static_cast<uint32_t>(hash)));
    if (head != 0) EntryNode::Prefetch(head);
  }

  // For a key whose first node was fetched: the next one, when that is another key's.
  void PrefetchNext(const EntryKey& key) const {
    const NodeHandle head = HandleAt(IndexOf(static_cast<uint32_t>(key.hash)));
    if (head == 0) return;
    const EntryNode* node = EntryNode::At(head);
    if (node->chain != 0 && !node->Is(key)) EntryNode::Prefetch(node->chain);
  }

  size_t size() const { return size_; }

  // For walking the table in pieces: the first node of a bucket; the rest follows by `chain`.
  // A node that a split moves goes to a later bucket, so an ascending walk misses none.
  size_t bucket_count() const { return bucket_count_; }
  EntryNode* BucketHead(size_t index) const {
    const NodeHandle head = HandleAt(index);
    return head == 0 ? nullptr : EntryNode::At(head);
  }
  static EntryNode* NextOf(const EntryNode& node) {
    return node.chain == 0 ? nullptr : EntryNode::At(node.chain);
  }

 private:
  static constexpr size_t kSegmentBits = 10;
  static constexpr size_t kSegmentSize = size_t{1} << kSegmentBits;
  static constexpr size_t kFirstBuckets = 16;

  size_t IndexOf(uint32_t hash) const {
    const size_t index = hash & (2 * round_mask_ + 1);
    return index < bucket_count_ ? index : index & round_mask_;
  }
  NodeHandle HandleAt(size_t index) const {
    return segments_[index >> kSegmentBits][index & (kSegmentSize - 1)];
  }
  NodeHandle* LinkTo(const EntryNode* node);
  NodeHandle* Bucket(size_t index) {
    return &segments_[index >> kSegmentBits][index & (kSegmentSize - 1)];
  }
  void SplitOneBucket();

  const KeyHasher hasher_;
  std::vector<std::unique_ptr<NodeHandle[]>> segments_;
  size_t size_ = 0;
  // round_mask_ + 1 is a power of two, and <= bucket_count_ < 2 * (round_mask_ + 1).
  size_t bucket_count_ = kFirstBuckets;
  size_t round_mask_ = kFirstBuckets - 1;
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_ENTRY_TABLE_H_
