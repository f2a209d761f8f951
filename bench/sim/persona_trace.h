// PersonaTrace is the traffic of PersonaWorkload as a Trace: in L1 for 60 s (0-03), and what the
// rule of config/warming-persona.yaml has warmed for each persona (0-12).

#ifndef MERIDIAN_BENCH_SIM_PERSONA_TRACE_H_
#define MERIDIAN_BENCH_SIM_PERSONA_TRACE_H_

#include "absl/time/time.h"
#include "bench/sim/trace.h"

namespace meridian::sim {

// The first `length` of it.
Trace PersonaTrace(absl::Duration length);

}  // namespace meridian::sim

#endif  // MERIDIAN_BENCH_SIM_PERSONA_TRACE_H_
