// BatchSplitter cuts a batch into parts: one owner each, and no larger than a node accepts.
//
// Promise: every item is in exactly one part; within a part items keep their order, so answer i of
//   a part belongs to positions[i] of the batch.
// Cost: one hash an item; two allocations a part that grow by doubling. Keys are not copied.
// Thread safety: none; one batch, one thread.

#ifndef MERIDIAN_CLIENT_INTERNAL_BATCH_SPLITTER_H_
#define MERIDIAN_CLIENT_INTERNAL_BATCH_SPLITTER_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "client/internal/routing_table.h"

namespace meridian {

struct BatchLimits {
  size_t max_entries = 1000;
  size_t max_bytes = 16 << 20;  // Half of what a node accepts: room for tags and framing.
};

struct BatchPart {
  uint16_t node = 0;
  size_t bytes = 0;
  std::vector<uint32_t> positions = {};  // In the batch, ascending.
};

class BatchSplitter {
 public:
  // Items without an owner go to `fallback_node`. Both references outlive this.
  BatchSplitter(const RoutingTable& table, std::string_view name_space, uint16_t fallback_node,
                BatchLimits limits = {});

  // The next item of the batch; `bytes` is its size on the wire, about. An item that is larger
  // than the limit gets a part of its own.
  void Add(std::string_view key, size_t bytes);
  // The same of an item that goes to a certain node, whoever owns its key.
  void AddTo(uint16_t node, size_t bytes);

  std::vector<BatchPart> Take() { return std::move(parts_); }

 private:
  static constexpr uint32_t kNoPart = 0xFFFFFFFF;

  const RoutingTable& table_;
  const std::string_view name_space_;
  const uint16_t fallback_node_;
  const BatchLimits limits_;
  uint32_t next_position_ = 0;
  std::vector<uint32_t> open_part_;  // By node: the part that still takes items.
  std::vector<BatchPart> parts_;
};

}  // namespace meridian

#endif  // MERIDIAN_CLIENT_INTERNAL_BATCH_SPLITTER_H_
