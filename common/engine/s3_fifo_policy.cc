#include "common/engine/s3_fifo_policy.h"

#include <algorithm>

namespace meridian {
namespace {

constexpr double kSmallShare = 0.1;
constexpr uint16_t kHitsToMain = 2;
constexpr uint16_t kMostRounds = 3;

// policy_bits: the hits, and whether the node belongs to the main queue.
constexpr uint16_t kHitsMask = 3;
constexpr uint16_t kInMain = 4;

uint16_t HitsOf(const EntryNode& node) { return node.policy_bits & kHitsMask; }

// What the small queue leaves.
PolicyLimits MainLimits(PolicyLimits limits) {
  const PolicyLimits small = ShareOf(limits, kSmallShare);
  const auto rest = [](size_t all, size_t part) {
    return all == 0 ? 0 : std::max<size_t>(all - part, 1);
  };
  return {.bytes = rest(limits.bytes, small.bytes),
          .entries = rest(limits.entries, small.entries),
          .charge = limits.charge};
}

}  // namespace

S3FifoPolicy::S3FifoPolicy(PolicyLimits limits, KeyHasher hasher)
    : main_limits_(MainLimits(limits)),
      hasher_(hasher),
      small_(slots_, limits.charge),
      main_(slots_, limits.charge),
      ghosts_(ShareOf(limits, 1 - kSmallShare)) {}

PolicyQueue& S3FifoPolicy::QueueOf(const EntryNode& node) {
  return (node.policy_bits & kInMain) != 0 ? main_ : small_;
}

void S3FifoPolicy::SettleNewest() {
  if (newest_ != nullptr) QueueOf(*newest_).PushFront(*newest_);
  newest_ = nullptr;
}

void S3FifoPolicy::OnInsert(EntryNode& node) {
  SettleNewest();
  newest_ = &node;
  node.policy_bits = ghosts_.Erase(hasher_.Of(node)) ? kInMain : 0;
}

void S3FifoPolicy::OnHit(EntryNode& node) {
  if (HitsOf(node) < kMostRounds) ++node.policy_bits;
}

void S3FifoPolicy::OnRemove(EntryNode& node) {
  if (newest_ == &node) {
    newest_ = nullptr;
  } else {
    QueueOf(node).Remove(node);
  }
}

void S3FifoPolicy::OnEvict(EntryNode& node) {
  if ((node.policy_bits & kInMain) == 0)
    ghosts_.Push(hasher_.Of(node), node.charge(main_limits_.charge));
  OnRemove(node);
}

void S3FifoPolicy::OnReplace(EntryNode& old, EntryNode& node) {
  node.policy_bits = old.policy_bits;
  OnHit(node);
  SettleNewest();
  QueueOf(old).Replace(old, node);
}

void S3FifoPolicy::OnMove(EntryNode& old, EntryNode& node) {
  if (newest_ == &old) {
    newest_ = &node;
  } else {
    QueueOf(node).Replace(old, node);
  }
}

EntryNode& S3FifoPolicy::Victim() {
  while (!small_.empty() || !main_.empty()) {
    const bool from_main = main_.Exceeds(main_limits_) || small_.empty();
    EntryNode* victim = from_main ? MainVictim() : SmallVictim();
    if (victim != nullptr) return *victim;
  }
  return *newest_;
}

EntryNode* S3FifoPolicy::SmallVictim() {
  while (!small_.empty()) {
    EntryNode& oldest = small_.back();
    if (HitsOf(oldest) < kHitsToMain) return &oldest;
    small_.Remove(oldest);
    oldest.policy_bits = kInMain;
    main_.PushFront(oldest);
  }
  return nullptr;
}

EntryNode* S3FifoPolicy::MainVictim() {
  while (!main_.empty()) {
    EntryNode& oldest = main_.back();
    if (HitsOf(oldest) == 0) return &oldest;
    --oldest.policy_bits;
    main_.MoveToFront(oldest);
  }
  return nullptr;
}

}  // namespace meridian
