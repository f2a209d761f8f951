// MetricRegistry is all metrics of a process: what counts is registered once at the start, what is
// known elsewhere is asked for at every scrape.
//
// Promise: PrometheusText() has every family once, sorted by name, its series sorted by labels, so
//   that two scrapes of the same state are equal. References that it gives out live as long as it.
// Cost: a scrape is O(series) and holds no lock that counting needs.
// Thread safety: all methods may be called concurrently. Callbacks run on the scraping thread,
//   without a lock of the registry, and must not add families.

#ifndef MERIDIAN_COMMON_TELEMETRY_METRIC_REGISTRY_H_
#define MERIDIAN_COMMON_TELEMETRY_METRIC_REGISTRY_H_

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "common/telemetry/label_limit.h"
#include "common/telemetry/metric_family.h"

namespace meridian {

// One series of a family by callback.
struct MetricSample {
  std::vector<std::string> values;  // Of the labels, in order.
  double value = 0;
};

// The same of a family of histograms.
struct HistogramSample {
  std::vector<std::string> values;
  HistogramSnapshot snapshot;  // All of a family have equal bounds.
};

class MetricRegistry final : public prometheus::Collectable {
 public:
  // Distinct values of the label "namespace", over all families; what comes later is "other".
  static constexpr size_t kMaxNamespaceLabels = 200;

  using SampleCallback = std::function<std::vector<MetricSample>()>;
  using HistogramCallback = std::function<std::vector<HistogramSample>()>;

  MetricRegistry() = default;
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // All that follow REQUIRE a valid name that is not taken yet, and valid labels.
  CounterFamily& AddCounters(MetricInfo info) ABSL_LOCKS_EXCLUDED(mu_);
  HistogramFamily& AddHistograms(MetricInfo info, std::vector<double> bounds = LatencyBounds())
      ABSL_LOCKS_EXCLUDED(mu_);

  // Families without labels.
  Counter& AddCounter(std::string name, std::string help);
  Histogram& AddHistogram(std::string name, std::string help,
                          std::vector<double> bounds = LatencyBounds());
  void AddGauge(std::string name, std::string help, std::function<double()> value);

  // Families that are asked for at every scrape. Samples whose labels become equal, because there
  // are too many namespaces, are added up.
  void AddGauges(MetricInfo info, SampleCallback samples) ABSL_LOCKS_EXCLUDED(mu_);
  void AddCallbackCounters(MetricInfo info, SampleCallback samples) ABSL_LOCKS_EXCLUDED(mu_);
  void AddCallbackHistograms(MetricInfo info, HistogramCallback samples) ABSL_LOCKS_EXCLUDED(mu_);

  std::vector<prometheus::MetricFamily> Collect() const override ABSL_LOCKS_EXCLUDED(mu_);

  // What /metrics answers, in the text format 0.0.4.
  std::string PrometheusText() const;

 private:
  struct CallbackFamily {
    MetricInfo info;
    prometheus::MetricType type;
    SampleCallback samples;
  };

  struct CallbackHistograms {
    MetricInfo info;
    HistogramCallback samples;
  };

  void Take(const MetricInfo& info) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void AddCallback(MetricInfo info, prometheus::MetricType type, SampleCallback samples)
      ABSL_LOCKS_EXCLUDED(mu_);
  prometheus::MetricFamily CollectCallback(const CallbackFamily& family) const;
  prometheus::MetricFamily CollectHistogramCallback(const CallbackHistograms& family) const;
  // Names the values of "namespace" that are too many "other".
  void LimitLabels(const MetricInfo& info, std::vector<std::string>* values) const;

  mutable LabelLimit namespaces_{kMaxNamespaceLabels};
  mutable absl::Mutex mu_;
  absl::flat_hash_set<std::string> names_ ABSL_GUARDED_BY(mu_);
  // Deques: elements stay where they are.
  std::deque<CounterFamily> counters_ ABSL_GUARDED_BY(mu_);
  std::deque<HistogramFamily> histograms_ ABSL_GUARDED_BY(mu_);
  std::deque<CallbackFamily> callbacks_ ABSL_GUARDED_BY(mu_);
  std::deque<CallbackHistograms> callback_histograms_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_METRIC_REGISTRY_H_
