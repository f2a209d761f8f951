// What it costs to count: the limit is 20 ns.

#include <benchmark/benchmark.h>

#include "common/telemetry/counter.h"
#include "common/telemetry/histogram.h"
#include "common/telemetry/metric_registry.h"
#include "server/node/read_figures.h"

namespace meridian {
namespace {

void BM_CounterAdd(benchmark::State& state) {
  static auto& counter = *new Counter;
  for (auto _ : state) counter.Add();
}

void BM_HistogramObserve(benchmark::State& state) {
  static auto& histogram = *new Histogram(LatencyBounds());
  absl::Duration latency = absl::Microseconds(1);
  for (auto _ : state) {
    histogram.Observe(latency);
    latency += absl::Microseconds(7);
    if (latency > absl::Milliseconds(50)) latency = absl::Microseconds(1);
  }
}

void BM_FamilyWith(benchmark::State& state) {
  static auto& registry = *new MetricRegistry;
  static CounterFamily& family = registry.AddCounters(
      {.name = "requests_total", .help = "", .labels = {"method", "code", "namespace"}});
  for (auto _ : state) family.With({"Get", "OK", "task"}).Add();
}

// A read that L1 answers, as the read path counts it; the time is measured elsewhere.
void BM_ReadFiguresCount(benchmark::State& state) {
  static auto& figures = *new ReadFigures;
  for (auto _ : state) {
    figures.Count(figures.IndexOf(0), ReadTier::kL1, absl::Microseconds(3), 100);
  }
}

BENCHMARK(BM_CounterAdd)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HistogramObserve)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_ReadFiguresCount)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_FamilyWith)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace meridian
