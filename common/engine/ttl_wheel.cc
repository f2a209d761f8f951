#include "common/engine/ttl_wheel.h"

#include <algorithm>
#include <bit>

namespace meridian {

TtlWheel::TtlWheel() {
  for (NodeHandle head = 0; head < kHeads; ++head) heads_[head] = {head, head};
}

uint64_t TtlWheel::TickOf(const EntryNode& node) {
  const int64_t ns = std::max<int64_t>(node.expires_ns(), 0);
  const uint64_t tick = static_cast<uint64_t>(ns / kTickNs) + (ns % kTickNs != 0 ? 1 : 0);
  return std::min(tick, kLastTick);
}

void TtlWheel::Add(EntryNode& node) { AddAt(node, TickOf(node)); }

void TtlWheel::AddAt(EntryNode& node, uint64_t tick) {
  tick = std::max(tick, tick_);
  const uint64_t difference = (tick ^ tick_) | 1;
  const int level = (63 - std::countl_zero(difference)) / kDigitBits;
  const uint64_t digit = (tick >> (level * kDigitBits)) & kDigitMask;
  const NodeHandle head = HeadOf(level, digit);
  const NodeHandle handle = node.handle();
  node.wheel_links = {heads_[head].prev, head};
  LinksOf(node.wheel_links.prev).next = handle;
  heads_[head].prev = handle;
  occupied_[level] |= uint64_t{1} << digit;
}

TtlWheel::NextList TtlWheel::FindNext() const {
  // An entry of level L shares all digits above L with tick_, so within a level the lowest occupied
  // digit is the next one. Of lists that begin together the highest level is emptied first.
  NextList next;
  for (int level = kLevels - 1; level >= 0; --level) {
    if (occupied_[level] == 0) continue;
    const uint64_t digit = static_cast<uint64_t>(std::countr_zero(occupied_[level]));
    const int shift = level * kDigitBits;
    const uint64_t above = tick_ >> (shift + kDigitBits) << (shift + kDigitBits);
    const uint64_t begins_at = above | (digit << shift);
    if (next.level < 0 || begins_at < next.begins_at) next = {level, digit, begins_at};
  }
  return next;
}

EntryNode* TtlWheel::NextExpired(int64_t now_ns, size_t* looks) {
  const uint64_t now =
      std::min(static_cast<uint64_t>(std::max<int64_t>(now_ns, 0) / kTickNs), kLastTick);
  for (;;) {
    const NextList next = FindNext();
    if (next.level < 0 || next.begins_at > now) {
      tick_ = std::max(tick_, now);
      return nullptr;
    }
    tick_ = std::max(tick_, next.begins_at);
    const NodeHandle head = HeadOf(next.level, next.digit);
    while (heads_[head].next != head) {
      if (*looks == 0) return nullptr;
      --*looks;
      EntryNode& node = *EntryNode::At(heads_[head].next);
      const uint64_t tick = TickOf(node);
      if (tick <= tick_) return &node;
      Remove(node);
      AddAt(node, tick);
    }
    occupied_[next.level] &= ~(uint64_t{1} << next.digit);
  }
}

}  // namespace meridian
