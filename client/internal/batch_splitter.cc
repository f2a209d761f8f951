#include "client/internal/batch_splitter.h"

namespace meridian {

BatchSplitter::BatchSplitter(const RoutingTable& table, std::string_view name_space,
                             uint16_t fallback_node, BatchLimits limits)
    : table_(table),
      name_space_(name_space),
      fallback_node_(fallback_node),
      limits_(limits),
      open_part_(table.addresses().size(), kNoPart) {}

void BatchSplitter::Add(std::string_view key, size_t bytes) {
  uint16_t node = table_.OwnerOf(SlotOf(name_space_, key));
  if (node == RoutingTable::kAnyNode) node = fallback_node_;
  AddTo(node, bytes);
}

void BatchSplitter::AddTo(uint16_t node, size_t bytes) {
  uint32_t& open = open_part_[node];
  if (open == kNoPart || parts_[open].positions.size() >= limits_.max_entries ||
      parts_[open].bytes + bytes > limits_.max_bytes) {
    open = static_cast<uint32_t>(parts_.size());
    parts_.push_back(BatchPart{.node = node});
  }
  BatchPart& part = parts_[open];
  part.bytes += bytes;
  part.positions.push_back(next_position_++);
}

}  // namespace meridian
