#include "bench/sim/simulation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/engine/engine.h"

namespace meridian::sim {
namespace {

constexpr size_t kUnbounded = std::numeric_limits<size_t>::max() / 4;
// More than can expire between two requests.
constexpr size_t kAdvanceLimit = size_t{1} << 40;

}  // namespace

size_t EntriesOf(const Trace& trace, double fraction) {
  const double entries = std::round(static_cast<double>(trace.unique_keys) * fraction);
  return std::max<size_t>(static_cast<size_t>(entries), 2);
}

size_t BytesOf(const Trace& trace, double fraction) {
  const double bytes = static_cast<double>(trace.footprint_bytes) * fraction;
  return std::max<size_t>(static_cast<size_t>(bytes), 1);
}

absl::StatusOr<SimulationResult> Simulate(const Trace& trace, const SimulationOptions& options) {
  const bool by_bytes = options.capacity_bytes != 0;
  if (by_bytes == (options.capacity_entries != 0)) {
    return absl::InvalidArgumentError("capacity_entries or capacity_bytes must be 0, but not both");
  }
  ASSIGN_OR_RETURN(
      const std::unique_ptr<Engine> engine,
      Engine::Create({.capacity_bytes = by_bytes ? options.capacity_bytes : kUnbounded,
                      .capacity_entries = options.capacity_entries,
                      .shard_bits = 0,
                      .policy = options.policy,
                      .charge = by_bytes ? ChargeMode::kValueBytes : ChargeMode::kAll}));
  const NamespaceId name_space = *engine->InternNamespace("trace");
  SimulationResult result;
  absl::Duration now;
  for (const Request& request : trace.requests) {
    const absl::Duration time = absl::Nanoseconds(request.time_ns);
    if (time > now && !options.lazy_expiry) engine->Advance(time, kAdvanceLimit);
    now = std::max(now, time);
    const std::string_view bytes(reinterpret_cast<const char*>(&request.key), sizeof(request.key));
    const EntryKey key = {.name_space = name_space,
                          .slot = 0,
                          .hash = engine->HashOf(name_space, bytes),
                          .key = bytes};
    ++result.requests;
    result.requested_bytes += request.size;
    Entry entry;
    if (engine->Get(key, now, &entry)) continue;
    ++result.misses;
    result.missed_bytes += request.size;
    entry.expires_at =
        request.ttl_ns == 0 ? absl::InfiniteDuration() : now + absl::Nanoseconds(request.ttl_ns);
    // What is stored again is newer than what expired.
    entry.version = {.hlc = result.requests, .region = 1};
    if (by_bytes) entry.phantom_bytes = request.size;
    engine->Put(key, std::move(entry), now);
  }
  return result;
}

}  // namespace meridian::sim
