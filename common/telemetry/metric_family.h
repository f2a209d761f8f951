// MetricFamily is one metric name with its series, one for each combination of label values.
//
// Cost: With() is one reader lock and one hash lookup, about 100 ns: call it once and keep the
//   reference, which lives as long as the registry. A new combination allocates.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_TELEMETRY_METRIC_FAMILY_H_
#define MERIDIAN_COMMON_TELEMETRY_METRIC_FAMILY_H_

#include <cassert>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/base/strings.h"
#include "common/telemetry/counter.h"
#include "common/telemetry/histogram.h"
#include "common/telemetry/label_limit.h"

namespace meridian {

struct MetricInfo {
  std::string name;                      // [a-z_][a-z0-9_]*, see docs/metrics.md.
  std::string help;                      // One sentence.
  std::vector<std::string> labels = {};  // The values of the label "namespace" are limited.
};

template <typename Metric>
class MetricFamily {
 public:
  using Factory = std::function<std::unique_ptr<Metric>()>;
  using Visitor = std::function<void(const std::vector<std::string>& values, const Metric&)>;

  // `namespaces` is not owned and outlives this.
  MetricFamily(MetricInfo info, LabelLimit& namespaces, Factory factory)
      : info_(std::move(info)), namespaces_(namespaces), factory_(std::move(factory)) {}

  const MetricInfo& info() const { return info_; }

  // The series of these label values, in the order of info().labels.
  // REQUIRES: as many values as labels.
  Metric& With(absl::Span<const std::string_view> values) ABSL_LOCKS_EXCLUDED(mu_) {
    assert(values.size() == info_.labels.size());
    std::string key;
    std::vector<std::string_view> limited(values.begin(), values.end());
    for (size_t i = 0; i < limited.size(); ++i) {
      if (info_.labels[i] == "namespace") limited[i] = namespaces_.ValueFor(limited[i]);
      key.append(limited[i]).push_back('\0');
    }
    {
      absl::ReaderMutexLock lock(&mu_);
      auto found = series_.find(key);
      if (found != series_.end()) return *found->second.metric;
    }
    absl::MutexLock lock(&mu_);
    Series& series = series_[key];
    if (series.metric == nullptr) {
      series = {std::vector<std::string>(limited.begin(), limited.end()), factory_()};
    }
    return *series.metric;
  }

  // The series of a family without labels.
  Metric& Only() { return With({}); }

  // Calls `visit` for every series, in no order, under the family's lock.
  void ForEach(const Visitor& visit) const ABSL_LOCKS_EXCLUDED(mu_) {
    absl::ReaderMutexLock lock(&mu_);
    for (const auto& [key, series] : series_) visit(series.values, *series.metric);
  }

 private:
  struct Series {
    std::vector<std::string> values;
    std::unique_ptr<Metric> metric;
  };

  const MetricInfo info_;
  LabelLimit& namespaces_;
  const Factory factory_;
  mutable absl::Mutex mu_;
  absl::flat_hash_map<std::string, Series> series_ ABSL_GUARDED_BY(mu_);
};

using CounterFamily = MetricFamily<Counter>;
using HistogramFamily = MetricFamily<Histogram>;

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_METRIC_FAMILY_H_
