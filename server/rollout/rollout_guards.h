// The guards of a rollout: whether the reads of a namespace became worse where a trial of its
// policy runs.
//
// Promise: a guard speaks only of `min_reads` and more, and only when the difference beyond its
//   bound is larger than kSigmas standard errors of what was counted, as if each read were drawn by
//   itself: then a wrong word is one in three million looks, and looking every few seconds for days
//   is safe. What is that much worse is seen in one interval; what is worse by little, in the sum
//   of a stage.
// How fine p99 is (read times in FineLatencyBounds(), buckets of 4.1 to 4.43 %, 50 µs to 5 s): a
//   rise of 9.1 % and more moves it by two buckets at least and is above the shipped bound of 5 %
//   wherever it lies; one of 4.1 % and less by one at most, and is not. In between it depends on
//   how the times are spread within a bucket, which counts as even. Below 50 µs and above 5 s no
//   rise is seen. And it takes reads: with as many under each version, of times that are spread as
//   usual (lognormal, sigma 0.5), a rise of 50 % is seen in 1000 and one of 10 % in some 100 000;
//   where nearly all reads take equally long 1000 are enough. A stage waits for min_reads, not for
//   more.
// Not promised: that nothing but the version makes it speak. Reads share their luck: one call to
//   Redis or to an origin that is late or fails is many reads that are slow or fail, and few keys
//   may be most of the reads. What strikes the trial's slots alone, once, is taken for the
//   version's fault. That costs a rollout that is begun again; bounds that are wide enough for such
//   bursts (max_error_rise, max_p99_rise) spare it.
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
