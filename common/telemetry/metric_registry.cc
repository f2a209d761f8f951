#include "common/telemetry/metric_registry.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <memory>
#include <utility>

#include "common/telemetry/prometheus_text.h"

namespace meridian {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

[[maybe_unused]] bool IsValidName(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::vector<ClientMetric::Label> LabelsOf(const MetricInfo& info,
                                          const std::vector<std::string>& values) {
  std::vector<ClientMetric::Label> labels;
  labels.reserve(values.size());
  for (size_t i = 0; i < values.size(); ++i) labels.push_back({info.labels[i], values[i]});
  return labels;
}

prometheus::MetricFamily EmptyFamily(const MetricInfo& info, MetricType type) {
  prometheus::MetricFamily family;
  family.name = info.name;
  family.help = info.help;
  family.type = type;
  return family;
}

void SortSeries(prometheus::MetricFamily* family) {
  std::sort(family->metric.begin(), family->metric.end(),
            [](const ClientMetric& a, const ClientMetric& b) { return a.label < b.label; });
}

prometheus::MetricFamily CollectCounters(const CounterFamily& counters) {
  prometheus::MetricFamily family = EmptyFamily(counters.info(), MetricType::Counter);
  counters.ForEach([&](const std::vector<std::string>& values, const Counter& counter) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = LabelsOf(counters.info(), values);
    metric.counter.value = static_cast<double>(counter.value());
  });
  SortSeries(&family);
  return family;
}

ClientMetric::Histogram ToPrometheus(const HistogramSnapshot& snapshot) {
  ClientMetric::Histogram histogram;
  uint64_t cumulative = 0;
  for (size_t i = 0; i < snapshot.bounds.size(); ++i) {
    cumulative += snapshot.counts[i];
    histogram.bucket.push_back({cumulative, snapshot.bounds[i]});
  }
  histogram.sample_count = cumulative + snapshot.counts.back();
  histogram.sample_sum = snapshot.sum;
  return histogram;
}

prometheus::MetricFamily CollectHistograms(const HistogramFamily& histograms) {
  prometheus::MetricFamily family = EmptyFamily(histograms.info(), MetricType::Histogram);
  histograms.ForEach([&](const std::vector<std::string>& values, const Histogram& histogram) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = LabelsOf(histograms.info(), values);
    metric.histogram = ToPrometheus(histogram.Snapshot());
  });
  SortSeries(&family);
  return family;
}

}  // namespace

void MetricRegistry::Take(const MetricInfo& info) {
  assert(IsValidName(info.name));
  assert(std::all_of(info.labels.begin(), info.labels.end(), IsValidName));
  [[maybe_unused]] const bool is_new = names_.insert(info.name).second;
  assert(is_new);
}

CounterFamily& MetricRegistry::AddCounters(MetricInfo info) {
  absl::MutexLock lock(&mu_);
  Take(info);
  return counters_.emplace_back(std::move(info), namespaces_,
                                [] { return std::make_unique<Counter>(); });
}

HistogramFamily& MetricRegistry::AddHistograms(MetricInfo info, std::vector<double> bounds) {
  absl::MutexLock lock(&mu_);
  Take(info);
  return histograms_.emplace_back(std::move(info), namespaces_, [bounds = std::move(bounds)] {
    return std::make_unique<Histogram>(bounds);
  });
}

Counter& MetricRegistry::AddCounter(std::string name, std::string help) {
  return AddCounters({.name = std::move(name), .help = std::move(help)}).Only();
}

Histogram& MetricRegistry::AddHistogram(std::string name, std::string help,
                                        std::vector<double> bounds) {
  return AddHistograms({.name = std::move(name), .help = std::move(help)}, std::move(bounds))
      .Only();
}

void MetricRegistry::AddGauge(std::string name, std::string help, std::function<double()> value) {
  AddGauges({.name = std::move(name), .help = std::move(help)}, [value = std::move(value)] {
    return std::vector<MetricSample>{{.values = {}, .value = value()}};
  });
}

void MetricRegistry::AddGauges(MetricInfo info, SampleCallback samples) {
  AddCallback(std::move(info), MetricType::Gauge, std::move(samples));
}

void MetricRegistry::AddCallbackCounters(MetricInfo info, SampleCallback samples) {
  AddCallback(std::move(info), MetricType::Counter, std::move(samples));
}

void MetricRegistry::AddCallback(MetricInfo info, MetricType type, SampleCallback samples) {
  absl::MutexLock lock(&mu_);
  Take(info);
  callbacks_.push_back({std::move(info), type, std::move(samples)});
}

void MetricRegistry::AddCallbackHistograms(MetricInfo info, HistogramCallback samples) {
  absl::MutexLock lock(&mu_);
  Take(info);
  callback_histograms_.push_back({std::move(info), std::move(samples)});
}

void MetricRegistry::LimitLabels(const MetricInfo& info, std::vector<std::string>* values) const {
  assert(values->size() == info.labels.size());
  for (size_t i = 0; i < values->size(); ++i) {
    if (info.labels[i] == "namespace") {
      (*values)[i] = std::string(namespaces_.ValueFor((*values)[i]));
    }
  }
}

prometheus::MetricFamily MetricRegistry::CollectHistogramCallback(
    const CallbackHistograms& callback) const {
  std::map<std::vector<std::string>, HistogramSnapshot> sums;
  for (HistogramSample& sample : callback.samples()) {
    LimitLabels(callback.info, &sample.values);
    sums[std::move(sample.values)] += sample.snapshot;
  }
  prometheus::MetricFamily family = EmptyFamily(callback.info, MetricType::Histogram);
  for (const auto& [values, sum] : sums) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = LabelsOf(callback.info, values);
    metric.histogram = ToPrometheus(sum);
  }
  return family;
}

prometheus::MetricFamily MetricRegistry::CollectCallback(const CallbackFamily& callback) const {
  const MetricInfo& info = callback.info;
  std::vector<MetricSample> samples = callback.samples();
  for (MetricSample& sample : samples) LimitLabels(info, &sample.values);
  std::sort(samples.begin(), samples.end(),
            [](const MetricSample& a, const MetricSample& b) { return a.values < b.values; });
  prometheus::MetricFamily family = EmptyFamily(info, callback.type);
  family.metric.reserve(samples.size());
  for (size_t i = 0; i < samples.size();) {
    double sum = 0;
    size_t next = i;
    for (; next < samples.size() && samples[next].values == samples[i].values; ++next) {
      sum += samples[next].value;
    }
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = LabelsOf(info, samples[i].values);
    (callback.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = sum;
    i = next;
  }
  return family;
}

std::vector<prometheus::MetricFamily> MetricRegistry::Collect() const {
  std::vector<const CounterFamily*> counters;
  std::vector<const HistogramFamily*> histograms;
  std::vector<const CallbackFamily*> callbacks;
  std::vector<const CallbackHistograms*> callback_histograms;
  {
    absl::MutexLock lock(&mu_);
    for (const CounterFamily& family : counters_) counters.push_back(&family);
    for (const HistogramFamily& family : histograms_) histograms.push_back(&family);
    for (const CallbackFamily& family : callbacks_) callbacks.push_back(&family);
    for (const CallbackHistograms& family : callback_histograms_) {
      callback_histograms.push_back(&family);
    }
  }
  std::vector<prometheus::MetricFamily> families;
  for (const CounterFamily* family : counters) families.push_back(CollectCounters(*family));
  for (const HistogramFamily* family : histograms) families.push_back(CollectHistograms(*family));
  for (const CallbackFamily* family : callbacks) families.push_back(CollectCallback(*family));
  for (const CallbackHistograms* family : callback_histograms) {
    families.push_back(CollectHistogramCallback(*family));
  }
  std::sort(families.begin(), families.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return families;
}

std::string MetricRegistry::PrometheusText() const {
  std::string text;
  for (const prometheus::MetricFamily& family : Collect()) AppendPrometheusText(family, &text);
  return text;
}

}  // namespace meridian
