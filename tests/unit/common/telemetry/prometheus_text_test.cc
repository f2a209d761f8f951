#include "common/telemetry/prometheus_text.h"

#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <limits>
#include <string>

namespace meridian {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily Gauge(double value) {
  MetricFamily family;
  family.name = "g";
  family.type = MetricType::Gauge;
  family.metric.emplace_back().gauge.value = value;
  return family;
}

std::string TextOf(const MetricFamily& family) {
  std::string text;
  AppendPrometheusText(family, &text);
  return text;
}

TEST(PrometheusTextTest, NumbersReadBackAsTheSame) {
  for (const double value :
       {0.0, 1.0, -1.0, 0.1, 0.3, 1.0 / 3, 1e-9, 5e-05, 123456789.0, 999999999999999.0, 1e15, 1e22,
        1.7e308, 4.9e-324, 1795334399.25, -2.5}) {
    const std::string text = TextOf(Gauge(value));
    const std::string number = text.substr(text.rfind(' ') + 1);
    EXPECT_EQ(std::strtod(number.c_str(), nullptr), value) << number;
  }
  EXPECT_EQ(TextOf(Gauge(7)), "# TYPE g gauge\ng 7\n");
  EXPECT_EQ(TextOf(Gauge(-0.5)), "# TYPE g gauge\ng -0.5\n");
  EXPECT_EQ(TextOf(Gauge(std::nan(""))), "# TYPE g gauge\ng NaN\n");
  EXPECT_EQ(TextOf(Gauge(-std::numeric_limits<double>::infinity())), "# TYPE g gauge\ng -Inf\n");
}

// What we had before, and what others have.
TEST(PrometheusTextTest, IsThatOfPrometheusCpp) {
  MetricFamily counters;
  counters.name = "meridian_requests_total";
  counters.help = "Requests, by what \"became\" of them.";
  counters.type = MetricType::Counter;
  for (const char* value : {"OK", "a\"b\\c\nd", "", "\xc3\xa4"}) {
    prometheus::ClientMetric& metric = counters.metric.emplace_back();
    metric.label = {{"method", "Get"}, {"code", value}};
    metric.counter.value = 42;
  }
  MetricFamily histograms;
  histograms.name = "meridian_latency_seconds";
  histograms.help = "Latency.";
  histograms.type = MetricType::Histogram;
  for (int i = 0; i < 2; ++i) {
    prometheus::ClientMetric& metric = histograms.metric.emplace_back();
    if (i > 0) metric.label = {{"tier", "l1"}};
    metric.histogram.sample_count = 9;
    metric.histogram.sample_sum = 8.25;
    metric.histogram.bucket = {{2, 0.5}, {3, 1}, {7, 20}};
  }
  for (const MetricFamily& family : {counters, histograms, Gauge(0.25)}) {
    EXPECT_EQ(TextOf(family), prometheus::TextSerializer().Serialize({family}));
  }
}

}  // namespace
}  // namespace meridian
