// What a replay verifies between regions, once its traffic has ended.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_CHECKS_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_CHECKS_H_

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/replay_ledger.h"
#include "client/cli/replay_runner.h"
#include "client/cli/replay_source.h"
#include "client/cli/replay_stats.h"

namespace meridian::cli {

// `times` times, four at a time: sets a key in one region and asks the others, every millisecond,
// until they have it; then invalidates it in another region until the rest lost it. Times count
// from the acknowledgement. What is not there after 10 s is a failure.
PropagationStats VerifyPropagation(const std::vector<ReplayRegion>& regions, int times,
                                   uint32_t run, absl::Duration timeout);

// Reads every key of the ledger (20,000 of them at most, drawn from `seed`) in all regions until
// they agree on value and version, at most 60 s. A key that lives less than 2 s more in one region
// may be gone in another.
DiffStats CompareRegions(const std::vector<ReplayRegion>& regions, const RequestSource& source,
                         const ReplayLedger& ledger, uint64_t seed, absl::Duration timeout);

// How one key looks in all regions.
enum class RegionsAgree { kYes, kExpiring, kNo };
RegionsAgree CompareKey(const std::vector<const GetResult*>& by_region);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_CHECKS_H_
