// The guards of a rollout: whether the reads of a namespace became worse where a trial of its
// policy runs.
//
// Promise: chance takes nothing back. A guard speaks only of `min_reads` and more, and only when
// the
//   difference beyond its bound is larger than kSigmas standard errors of what was counted: about
//   one wrong word in three million looks, so that looking every few seconds for days is safe. What
//   is that much worse is seen in one interval; what is worse by little, in the sum of a stage.
// Cost: linear in the buckets of the histogram. Thread safety: pure functions.

#ifndef MERIDIAN_SERVER_ROLLOUT_ROLLOUT_GUARDS_H_
#define MERIDIAN_SERVER_ROLLOUT_ROLLOUT_GUARDS_H_

#include <string>
#include <vector>

#include "meridian/coordinator/v1/coordinator_service.pb.h"
#include "server/rollout/version_figures.h"

namespace meridian {

inline constexpr double kSigmas = 5;

// Of the namespace: "hit_rate", "p99" and "errors", in this order. `guards`: every bound is set.
std::vector<coordinator::v1::GuardReading> JudgeReads(const std::string& name_space,
                                                      const VersionReads& trial,
                                                      const VersionReads& base,
                                                      const std::vector<double>& latency_bounds,
                                                      const coordinator::v1::RolloutGuards& guards);

// "task: hit_rate 0.31, the others 0.97, bound 0.92, by 4210 reads".
std::string ReadingText(const coordinator::v1::GuardReading& reading);

// The duration that a share of the reads (0.99) does not exceed, in seconds; 0: there are none.
double QuantileOf(const VersionReads& figures, const std::vector<double>& bounds, double share);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_ROLLOUT_GUARDS_H_
