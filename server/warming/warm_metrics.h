// WarmMetrics is what warming counts: one table, for the code and for docs/metrics.md.
//
// Thread safety: that of its counters.

#ifndef MERIDIAN_SERVER_WARMING_WARM_METRICS_H_
#define MERIDIAN_SERVER_WARMING_WARM_METRICS_H_

#include "common/telemetry/metric_registry.h"

namespace meridian {

struct WarmMetrics {
  explicit WarmMetrics(MetricRegistry& registry)
      : keys(registry.AddCounters({"meridian_warm_keys_total",
                                   "Keys that warm jobs read, by what became of them.",
                                   {"namespace", "source", "outcome"}})),
        jobs(registry.AddCounters({"meridian_warm_jobs_total",
                                   "Warm jobs that are over, by how they ended.",
                                   {"source", "state"}})),
        runs(registry.AddCounters({"meridian_warm_schedule_runs_total",
                                   "Runs of schedules, by what became of them.",
                                   {"outcome"}})),
        events(registry.AddCounters({"meridian_warm_events_total",
                                     "Events that services reported, by what became of them.",
                                     {"outcome"}})),
        rule_keys(registry.AddCounters({"meridian_warm_rule_keys_total",
                                        "Keys that rules made of events, by what became of them.",
                                        {"rule", "outcome"}})),
        starts(registry.AddCounter("meridian_warm_starts_total",
                                   "How often the cluster was cold, and was given what startup "
                                   "says.")),
        slowdowns(registry.AddCounters({"meridian_warm_slowdowns_total",
                                        "Answers after which warming slowed down.",
                                        {"reason"}})),
        reads(registry.AddHistogram("meridian_warm_read_seconds",
                                    "How long nodes took to answer reads of warm jobs.")) {}

  CounterFamily& keys;
  CounterFamily& jobs;
  CounterFamily& runs;       // queued, joined, missed, refused, empty
  CounterFamily& events;     // matched, unmatched, limited
  CounterFamily& rule_keys;  // queued, repeated, refused, unbound, invalid, cut
  Counter& starts;
  CounterFamily& slowdowns;  // overload, late
  Histogram& reads;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_METRICS_H_
