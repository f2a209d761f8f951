#include "server/replication/heartbeat.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "common/base/strings.h"

namespace meridian {

std::string HeartbeatKey(std::string_view region, const std::vector<uint32_t>& slots) {
  if (slots.empty()) return "";
  // Each tag hits with the share of the slots that are ours: even one slot is found long before.
  constexpr int kMaxTags = 100'000;
  for (int tag = 0; tag < kMaxTags; ++tag) {
    std::string key = absl::StrCat("heartbeat:", ToAbsl(region), ":{", tag, "}");
    if (std::binary_search(slots.begin(), slots.end(), SlotOf(kInternalNamespace, key))) return key;
  }
  return "";
}

Heartbeat::Heartbeat(std::string region, absl::Duration interval, TaskGate gate, Write write)
    : region_(std::move(region)),
      interval_(interval),
      gate_(std::move(gate)),
      write_(std::move(write)) {}

void Heartbeat::Tick() {
  if (!key_.empty()) write_(kInternalNamespace, key_);
  gate_.PostAfter(interval_, [this] { Tick(); });
}

}  // namespace meridian
