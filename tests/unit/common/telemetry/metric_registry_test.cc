#include "common/telemetry/metric_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/telemetry/process_metrics.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricRegistryTest, TheTextIsSortedAndEscapedAndComplete) {
  MetricRegistry registry;
  CounterFamily& requests = registry.AddCounters(
      {.name = "meridian_requests_total", .help = "Requests.", .labels = {"method", "code"}});
  requests.With({"Set", "OK"}).Add(2);
  requests.With({"Get", "a\"b\\c\nd"}).Add();
  registry.AddGauge("meridian_epoch", "Epoch.", [] { return 7; });
  Histogram& latency = registry.AddHistogram("meridian_latency_seconds", "Latency.", {0.5, 1});
  latency.Observe(0.25);
  latency.Observe(absl::Seconds(8));

  EXPECT_EQ(registry.PrometheusText(),
            "# HELP meridian_epoch Epoch.\n"
            "# TYPE meridian_epoch gauge\n"
            "meridian_epoch 7\n"
            "# HELP meridian_latency_seconds Latency.\n"
            "# TYPE meridian_latency_seconds histogram\n"
            "meridian_latency_seconds_count 2\n"
            "meridian_latency_seconds_sum 8.25\n"
            "meridian_latency_seconds_bucket{le=\"0.5\"} 1\n"
            "meridian_latency_seconds_bucket{le=\"1\"} 1\n"
            "meridian_latency_seconds_bucket{le=\"+Inf\"} 2\n"
            "# HELP meridian_requests_total Requests.\n"
            "# TYPE meridian_requests_total counter\n"
            "meridian_requests_total{method=\"Get\",code=\"a\\\"b\\\\c\\nd\"} 1\n"
            "meridian_requests_total{method=\"Set\",code=\"OK\"} 2\n");
}

TEST(MetricRegistryTest, TheSameLabelsAreTheSameSeries) {
  MetricRegistry registry;
  CounterFamily& family = registry.AddCounters({.name = "c", .help = "", .labels = {"a", "b"}});
  EXPECT_EQ(&family.With({"x", "y"}), &family.With({"x", "y"}));
  EXPECT_NE(&family.With({"x", "y"}), &family.With({"xy", ""}));
}

TEST(MetricRegistryTest, NamespacesBeyondTheLimitShareOneSeriesInEveryFamily) {
  MetricRegistry registry;
  CounterFamily& gets =
      registry.AddCounters({.name = "gets_total", .help = "", .labels = {"namespace"}});
  for (size_t i = 0; i < MetricRegistry::kMaxNamespaceLabels + 50; ++i) {
    gets.With({absl::StrCat("n", i)}).Add();
  }
  registry.AddGauges({.name = "entries", .help = "", .labels = {"namespace"}}, [] {
    std::vector<MetricSample> samples;
    for (int i = 190; i < 260; ++i) samples.push_back({{absl::StrCat("n", i)}, 2});
    return samples;
  });
  registry.AddCallbackCounters({.name = "bytes_total", .help = "", .labels = {"namespace"}}, [] {
    return std::vector<MetricSample>{{{"n3"}, 4}, {{"new"}, 5}, {{"newer"}, 6}};
  });

  EXPECT_EQ(gets.With({"n249"}).value(), 50);
  EXPECT_EQ(&gets.With({"n249"}), &gets.With({"other"}));
  const std::string text = registry.PrometheusText();
  EXPECT_THAT(text, HasSubstr("entries{namespace=\"n199\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("entries{namespace=\"other\"} 120\n"));
  EXPECT_THAT(text, Not(HasSubstr("n200")));
  EXPECT_THAT(text, HasSubstr("# TYPE bytes_total counter\nbytes_total{namespace=\"n3\"} 4\n"
                              "bytes_total{namespace=\"other\"} 11\n"));
}

TEST(MetricRegistryTest, CountingAndScrapingMayHappenAtOnce) {
  MetricRegistry registry;
  CounterFamily& family = registry.AddCounters({.name = "c", .help = "", .labels = {"label"}});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2'000; ++i) family.With({absl::StrCat(i % 50)}).Add();
    });
  }
  for (int i = 0; i < 20; ++i) registry.PrometheusText();
  for (std::thread& thread : threads) thread.join();
  uint64_t sum = 0;
  family.ForEach([&](const std::vector<std::string>&, const Counter& c) { sum += c.value(); });
  EXPECT_EQ(sum, 8'000);
}

TEST(ProcessMetricsTest, SayWhatTheProcessUses) {
  MetricRegistry registry;
  AddProcessMetrics(registry);
  int families = 0;
  for (const prometheus::MetricFamily& family : registry.Collect()) {
    ++families;
    ASSERT_EQ(family.metric.size(), 1) << family.name;
    const prometheus::ClientMetric& metric = family.metric[0];
    if (family.name == "process_cpu_seconds_total") {
      EXPECT_GE(metric.counter.value, 0);
    } else {
      EXPECT_GT(metric.gauge.value, 0) << family.name;
    }
    if (family.name == "process_start_time_seconds") {
      EXPECT_GT(metric.gauge.value, 1'700'000'000);
    }
  }
  EXPECT_EQ(families, 6);
}

TEST(MetricRegistryTest, HistogramsByCallbackAreAddedUpByTheirLimitedLabels) {
  MetricRegistry registry;
  Histogram histogram({1, 2});
  histogram.Observe(1.5);
  registry.AddCallbackHistograms({"meridian_x_seconds", "X.", {"namespace"}}, [&] {
    std::vector<HistogramSample> samples;
    for (size_t i = 0; i < MetricRegistry::kMaxNamespaceLabels + 2; ++i) {
      samples.push_back({{std::to_string(i)}, histogram.Snapshot()});
    }
    return samples;
  });
  const std::string text = registry.PrometheusText();
  EXPECT_THAT(text, testing::HasSubstr("meridian_x_seconds_bucket{namespace=\"7\",le=\"2\"} 1\n"));
  EXPECT_THAT(text, testing::HasSubstr("meridian_x_seconds_count{namespace=\"other\"} 2\n"));
}

}  // namespace
}  // namespace meridian
