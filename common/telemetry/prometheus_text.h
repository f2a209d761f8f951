// A family of metrics in Prometheus' text format 0.0.4.
//
// Written by hand because a node with 200 namespaces has twenty thousand lines, and
// prometheus-cpp's serializer takes more than a µs for each of them: by streams, with a locale.
// Thread safety: a pure function.

#ifndef MERIDIAN_COMMON_TELEMETRY_PROMETHEUS_TEXT_H_
#define MERIDIAN_COMMON_TELEMETRY_PROMETHEUS_TEXT_H_

#include <prometheus/metric_family.h>

#include <string>

namespace meridian {

// Counters, gauges and histograms; other types are none of ours.
void AppendPrometheusText(const prometheus::MetricFamily& family, std::string* text);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_PROMETHEUS_TEXT_H_
