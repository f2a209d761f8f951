#include "server/replication/store_probe.h"

#include <atomic>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/base/version.h"
#include "server/node/limits.h"
#include "server/replication/replicated_write.h"

namespace meridian {

std::string ProbeKey(std::string_view own_region, uint64_t number) {
  return absl::StrCat("repair-probe:", ToAbsl(own_region), ":", number % kProbeKeys);
}

L2Write ProbeWrite(uint32_t slot, std::string_view own_region, absl::Time now) {
  // Shared by all links of a process: their probes meet in the own store.
  static std::atomic<uint64_t> made{0};
  const uint64_t number = made.fetch_add(1, std::memory_order_relaxed);
  // A version's 16 low bits count the uses of a key within its millisecond.
  const uint64_t uses = number / kProbeKeys % (uint64_t{1} << 16);
  const Version version = {static_cast<uint64_t>(absl::ToUnixMillis(now)) << 16 | uses,
                           RegionId(own_region)};
  L2Write write =
      DropUpTo({slot, std::string(kInternalNamespace), ProbeKey(own_region, number)}, version, now);
  write.logged = false;
  return write;
}

bool TookProbe(const std::vector<L2WriteResult>& results) {
  const L2WriteResult& result = results.front();
  return result.status.ok() && result.outcome == L2WriteOutcome::kApplied;
}

}  // namespace meridian
