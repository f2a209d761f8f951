// TtlWheel hands back entries whose time has come, in small pieces.
//
// A hierarchical timing wheel (Varghese and Lauck, "Hashed and hierarchical timing wheels", SOSP
// 1987): 7 levels of 64 lists, a tick of 1 ms at the lowest. An entry sits at the level of the
// highest digit (base 64) in which its tick differs from the wheel's, and moves down as the wheel
// gets there. A bit a list lets the wheel jump over empty ones, so idle time costs nothing.
//
// Promise: NextExpired(now) finds exactly the entries with expires_at <= now, rounded up to a
//   tick: never one early, and none later than the tick after its time.
// Cost: Add and Remove O(1), no allocation; an entry moves down at most 6 times in its life.
// Thread safety: none; the shard's lock covers it. Does not own the nodes.

#ifndef MERIDIAN_COMMON_ENGINE_TTL_WHEEL_H_
#define MERIDIAN_COMMON_ENGINE_TTL_WHEEL_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "common/engine/entry_node.h"
#include "common/engine/node_links.h"

namespace meridian {

class TtlWheel {
 public:
  static constexpr int64_t kTickNs = 1'000'000;

  TtlWheel();
  TtlWheel(const TtlWheel&) = delete;
  TtlWheel& operator=(const TtlWheel&) = delete;

  // REQUIRES: `node` is in no wheel; its expiry does not change while it is in this one.
  void Add(EntryNode& node);

  // REQUIRES: `node` is in this wheel.
  void Remove(EntryNode& node) {
    LinksOf(node.wheel_links.prev).next = node.wheel_links.next;
    LinksOf(node.wheel_links.next).prev = node.wheel_links.prev;
    node.wheel_links = {};
  }

  // `node` has the links of a node that was in this wheel and is gone: takes its place.
  void TakePlace(EntryNode& node) {
    LinksOf(node.wheel_links.prev).next = node.handle();
    LinksOf(node.wheel_links.next).prev = node.handle();
  }

  // An expired entry, still in the wheel: the caller removes it. nullptr when there is none, or
  // when
  // `*looks`, the number of entries that may be looked at (returned or moved down), is used up.
  EntryNode* NextExpired(int64_t now_ns, size_t* looks);

 private:
  static constexpr int kLevels = 7;
  static constexpr int kDigitBits = 6;
  static constexpr uint64_t kDigitMask = (uint64_t{1} << kDigitBits) - 1;
  static constexpr uint64_t kLastTick = (uint64_t{1} << (kLevels * kDigitBits)) - 1;

  // The list that the wheel reaches next, and when it begins.
  struct NextList {
    int level = -1;  // -1: all lists are empty.
    uint64_t digit = 0;
    uint64_t begins_at = 0;
  };

  // The handle that stands for the head of a list in the links: no node has it.
  static NodeHandle HeadOf(int level, uint64_t digit) {
    return static_cast<NodeHandle>((level << kDigitBits) + static_cast<int>(digit) + 1);
  }
  static constexpr NodeHandle kHeads = (kLevels << kDigitBits) + 1;
  static_assert(kHeads <= PageRegion::kFirstHandle);
  NodeLinks& LinksOf(NodeHandle handle) {
    return handle < kHeads ? heads_[handle] : EntryNode::At(handle)->wheel_links;
  }

  // The first tick at which the entry is expired; kLastTick for all that lies behind it (139
  // years).
  static uint64_t TickOf(const EntryNode& node);
  void AddAt(EntryNode& node, uint64_t tick);
  NextList FindNext() const;

  // Every list before tick_ is empty; a list that begins at or before tick_ is being emptied.
  uint64_t tick_ = 0;
  std::array<NodeLinks, kHeads>
      heads_;  // By handle; rings: the head of an empty list points at itself.
  // Of each level, bit d: the list of digit d may have entries. A clear bit: it has none.
  std::array<uint64_t, kLevels> occupied_ = {};
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_ENGINE_TTL_WHEEL_H_
