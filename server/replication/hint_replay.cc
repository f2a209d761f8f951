#include "server/replication/hint_replay.h"

#include <algorithm>
#include <utility>

#include "server/node/record.h"

namespace meridian {

HintReplay::HintReplay(HintLog& hints, L2Store& store, TaskGate gate, const Clock& clock)
    : hints_(hints),
      store_(store),
      gate_(std::move(gate)),
      clock_(clock),
      backoff_(BackoffOptions{.initial = kInterval, .max = absl::Seconds(1)}) {}

void HintReplay::Look() {
  if (hints_.empty()) return gate_.PostAfter(kInterval, [this] { Look(); });
  std::vector<L2Write> writes = hints_.Oldest(kBatch, kBatchBytes);
  const absl::Time now = clock_.Now();
  for (L2Write& write : writes) {
    // A tombstone is remembered as long as any, from now on: nobody was told of it before.
    const absl::StatusOr<Record> record = ParseRecord(write.record);
    if (record.ok() && record->kind == RecordKind::kTombstone) continue;
    // A value that has expired meanwhile still overtakes what is older.
    write.retention = std::max(write.expires_at - now, absl::ZeroDuration()) + kExpiryGrace;
  }
  store_.Apply(
      writes, now + kTimeout,
      gate_.Reply<std::vector<L2WriteResult>>(
          [this, writes](const std::vector<L2WriteResult>& results) { Take(writes, results); }));
}

void HintReplay::Take(const std::vector<L2Write>& writes,
                      const std::vector<L2WriteResult>& results) {
  bool again = false;
  for (size_t i = 0; i < writes.size(); ++i) {
    const L2WriteResult& result = results[i];
    if (result.status.ok()) {
      // As new: an earlier attempt has arrived whose answer was lost.
      hints_.Replayed(writes[i], result.outcome == L2WriteOutcome::kApplied ||
                                     result.stored == writes[i].version);
    } else if (absl::IsFailedPrecondition(result.status) ||
               absl::IsInvalidArgument(result.status)) {
      hints_.Replayed(writes[i], /*applied=*/false);  // Refused for good: a foreign key's type.
    } else {
      again = true;
    }
  }
  if (!again) {
    backoff_.Reset();
    return gate_.Post([this] { Look(); });
  }
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), [this] { Look(); });
}

}  // namespace meridian
