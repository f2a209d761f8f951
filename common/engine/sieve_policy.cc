#include "common/engine/sieve_policy.h"

namespace meridian {

void SievePolicy::OnInsert(EntryNode& node) {
  node.policy_bits = 0;
  newest_first_.PushFront(node);
  newcomer_ = &node;
}

void SievePolicy::OnRemove(EntryNode& node) {
  if (hand_ == &node) hand_ = newest_first_.TowardsFront(node);
  if (newcomer_ == &node) newcomer_ = nullptr;
  newest_first_.Remove(node);
}

void SievePolicy::OnEvict(EntryNode& node) {
  OnRemove(node);
  // What was there before the newcomer has come to its end.
  if (hand_ == newcomer_) hand_ = nullptr;
}

void SievePolicy::OnReplace(EntryNode& old, EntryNode& node) {
  node.policy_bits = kVisited;
  newest_first_.Replace(old, node);
  if (hand_ == &old) hand_ = &node;
  newcomer_ = nullptr;
}

void SievePolicy::OnMove(EntryNode& old, EntryNode& node) {
  newest_first_.Replace(old, node);
  if (hand_ == &old) hand_ = &node;
  if (newcomer_ == &old) newcomer_ = &node;
}

EntryNode& SievePolicy::Victim() {
  if (hand_ == nullptr || hand_ == newcomer_) hand_ = &newest_first_.back();
  while (hand_ != newcomer_ && hand_->policy_bits == kVisited) {
    hand_->policy_bits = 0;
    hand_ = newest_first_.TowardsFront(*hand_);
    if (hand_ == nullptr || hand_ == newcomer_) hand_ = &newest_first_.back();
  }
  return *hand_;
}

}  // namespace meridian
