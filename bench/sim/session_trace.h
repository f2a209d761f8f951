// SessionTrace is the traffic of SessionWorkload as a Trace: each session a caller, and what rules
// have warmed for each key.

#ifndef MERIDIAN_BENCH_SIM_SESSION_TRACE_H_
#define MERIDIAN_BENCH_SIM_SESSION_TRACE_H_

#include "absl/time/time.h"
#include "bench/sim/trace.h"

namespace meridian::sim {

// The first `length` of it.
Trace SessionTrace(absl::Duration length);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_SESSION_TRACE_H_
