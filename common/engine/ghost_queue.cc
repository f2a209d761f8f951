#include "common/engine/ghost_queue.h"

#include <algorithm>
#include <utility>

namespace meridian {
namespace {

constexpr size_t kFirstBuckets = 16;

}  // namespace

GhostQueue::Index& GhostQueue::BucketOf(uint32_t hash) {
  // The shard's table uses the low bits as well; there is no harm in that.
  return buckets_[hash & (buckets_.size() - 1)];
}

GhostQueue::Index* GhostQueue::Find(uint32_t hash) {
  Index* link = &BucketOf(hash);
  while (*link != kNone && ghosts_[*link].hash != hash) link = &ghosts_[*link].chain;
  return link;
}

void GhostQueue::Push(uint32_t hash, size_t charge) {
  if (size_ == buckets_.size()) GrowBuckets();
  if (*Find(hash) != kNone) return;
  const uint32_t kept =
      static_cast<uint32_t>(std::min<size_t>(charge, std::numeric_limits<uint32_t>::max()));
  while (size_ > 0 && ((limits_.entries != 0 && size_ + 1 > limits_.entries) ||
                       (limits_.bytes != 0 && bytes_ + kept > limits_.bytes))) {
    Remove(Find(ghosts_[oldest_].hash));
  }
  if (free_ == kNone) {
    free_ = static_cast<Index>(ghosts_.size());
    ghosts_.emplace_back();
  }
  const Index index = std::exchange(free_, ghosts_[free_].newer);
  Index& bucket = BucketOf(hash);
  ghosts_[index] = {
      .hash = hash, .charge = kept, .newer = kNone, .older = newest_, .chain = bucket};
  bucket = index;
  (newest_ == kNone ? oldest_ : ghosts_[newest_].newer) = index;
  newest_ = index;
  ++size_;
  bytes_ += kept;
}

bool GhostQueue::Erase(uint32_t hash) {
  if (size_ == 0) return false;
  Index* link = Find(hash);
  if (*link == kNone) return false;
  Remove(link);
  return true;
}

void GhostQueue::Remove(Index* link) {
  const Index index = *link;
  Ghost& ghost = ghosts_[index];
  *link = ghost.chain;
  (ghost.older == kNone ? oldest_ : ghosts_[ghost.older].newer) = ghost.newer;
  (ghost.newer == kNone ? newest_ : ghosts_[ghost.newer].older) = ghost.older;
  --size_;
  bytes_ -= ghost.charge;
  ghost.newer = std::exchange(free_, index);
}

void GhostQueue::GrowBuckets() {
  buckets_.assign(std::max(kFirstBuckets, buckets_.size() * 2), kNone);
  for (Index index = oldest_; index != kNone; index = ghosts_[index].newer) {
    Index& bucket = BucketOf(ghosts_[index].hash);
    ghosts_[index].chain = std::exchange(bucket, index);
  }
}

}  // namespace meridian
