#include "common/telemetry/prometheus_text.h"

#include <cassert>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <vector>

namespace meridian {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricType;

template <typename Number>
void AppendDigits(Number number, std::string* text) {
  char digits[32];
  const std::to_chars_result end = std::to_chars(digits, digits + sizeof(digits), number);
  text->append(digits, end.ptr);
}

void AppendNumber(double number, std::string* text) {
  constexpr double kExact = 1e15;  // Whole numbers below have no rounding.
  if (std::isnan(number)) {
    text->append("NaN");
  } else if (std::isinf(number)) {
    text->append(number > 0 ? "+Inf" : "-Inf");
  } else if (std::abs(number) < kExact && number == std::trunc(number)) {
    AppendDigits(static_cast<int64_t>(number), text);
  } else {
    AppendDigits(number, text);  // The shortest text that reads back as the same.
  }
}

void AppendEscaped(std::string_view value, std::string* text) {
  for (const char c : value) {
    if (c == '\\' || c == '"') text->push_back('\\');
    if (c == '\n') {
      text->append("\\n");
    } else {
      text->push_back(c);
    }
  }
}

// `a="b",c="d"`
std::string LabelsOf(const ClientMetric& metric) {
  std::string labels;
  for (const ClientMetric::Label& label : metric.label) {
    if (!labels.empty()) labels.push_back(',');
    labels.append(label.name).append("=\"");
    AppendEscaped(label.value, &labels);
    labels.push_back('"');
  }
  return labels;
}

// What stands before the value.
void AppendSeries(std::string_view name, std::string_view suffix, std::string_view labels,
                  std::string* text) {
  text->append(name).append(suffix);
  if (!labels.empty()) text->append("{").append(labels).append("}");
  text->push_back(' ');
}

void AppendValue(const std::string& name, const std::string& labels, double value,
                 std::string* text) {
  AppendSeries(name, "", labels, text);
  AppendNumber(value, text);
  text->push_back('\n');
}

void AppendHistogram(const std::string& name, const std::string& labels,
                     const ClientMetric::Histogram& histogram, std::string* text) {
  AppendSeries(name, "_count", labels, text);
  AppendDigits(histogram.sample_count, text);
  text->push_back('\n');
  AppendSeries(name, "_sum", labels, text);
  AppendNumber(histogram.sample_sum, text);
  text->push_back('\n');
  const auto append_bucket = [&](double bound, uint64_t count) {
    text->append(name).append("_bucket{").append(labels).append(labels.empty() ? "" : ",");
    text->append("le=\"");
    AppendNumber(bound, text);
    text->append("\"} ");
    AppendDigits(count, text);
    text->push_back('\n');
  };
  for (const ClientMetric::Bucket& bucket : histogram.bucket) {
    append_bucket(bucket.upper_bound, bucket.cumulative_count);
  }
  append_bucket(std::numeric_limits<double>::infinity(), histogram.sample_count);
}

const char* TypeName(MetricType type) {
  assert(type == MetricType::Counter || type == MetricType::Gauge || type == MetricType::Histogram);
  return type == MetricType::Counter ? "counter"
         : type == MetricType::Gauge ? "gauge"
                                     : "histogram";
}

}  // namespace

void AppendPrometheusText(const prometheus::MetricFamily& family, std::string* text) {
  if (!family.help.empty()) {
    text->append("# HELP ").append(family.name).append(" ").append(family.help).append("\n");
  }
  text->append("# TYPE ").append(family.name).append(" ").append(TypeName(family.type));
  text->push_back('\n');
  for (const ClientMetric& metric : family.metric) {
    const std::string labels = LabelsOf(metric);
    switch (family.type) {
      case MetricType::Counter:
        AppendValue(family.name, labels, metric.counter.value, text);
        break;
      case MetricType::Gauge:
        AppendValue(family.name, labels, metric.gauge.value, text);
        break;
      default:
        AppendHistogram(family.name, labels, metric.histogram, text);
        break;
    }
  }
}

}  // namespace meridian
