// The metrics that every process has: memory, CPU time, threads, open files, start time.

#ifndef MERIDIAN_COMMON_TELEMETRY_PROCESS_METRICS_H_
#define MERIDIAN_COMMON_TELEMETRY_PROCESS_METRICS_H_

#include <cstdint>

#include "common/telemetry/metric_registry.h"

namespace meridian {

// Adds process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds, process_threads and process_start_time_seconds, read from /proc/self at every
// scrape. What cannot be read has no sample.
void AddProcessMetrics(MetricRegistry& registry);

// The first and the second of these; 0: they cannot be read.
double ProcessCpuSeconds();
uint64_t ProcessResidentBytes();

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_PROCESS_METRICS_H_
