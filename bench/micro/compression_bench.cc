// What compression costs, by size and kind of value.

#include <benchmark/benchmark.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/compression/zlib_codec.h"

namespace meridian {
namespace {

std::string Json(size_t size) {
  std::mt19937 random(1);
  std::string text = "[";
  while (text.size() < size) {
    absl::StrAppend(&text, R"({"id":)", random(), R"(,"name":"user )", random() % 1000,
                    R"(","roles":["reader","editor"],"score":0.)", random() % 10'000, "},");
  }
  text.resize(size);
  return text;
}

std::string Noise(size_t size) {
  std::mt19937 random(1);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

void BM_DeflateJson(benchmark::State& state) {
  const std::string value = Json(static_cast<size_t>(state.range(0)));
  size_t size = 0;
  for (auto _ : state) {
    std::optional<Buffer> deflated = Deflate(value, {.level = static_cast<int>(state.range(1))});
    if (!deflated) return state.SkipWithError("not compressed");
    size = deflated->size();
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
  state.counters["share"] = static_cast<double>(size) / static_cast<double>(value.size());
}
BENCHMARK(BM_DeflateJson)->ArgsProduct({{1 << 10, 8 << 10, 128 << 10, 8 << 20}, {1, 3, 6}});

void BM_DeflateNoise(benchmark::State& state) {
  const std::string value = Noise(static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    if (Deflate(value, {.level = static_cast<int>(state.range(1))})) {
      return state.SkipWithError("compressed");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_DeflateNoise)->ArgsProduct({{1 << 10, 8 << 10, 128 << 10, 8 << 20}, {1, 6}});

void BM_Inflate(benchmark::State& state) {
  const std::string value = Json(static_cast<size_t>(state.range(0)));
  const Buffer deflated = *Deflate(value, {});
  for (auto _ : state) {
    benchmark::DoNotOptimize(Inflate(deflated.view(), value.size(), value.size())->size());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Inflate)->Arg(1 << 10)->Arg(8 << 10)->Arg(128 << 10)->Arg(8 << 20);

void BM_ThreadCpuTime(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(ThreadCpuTime());
}
BENCHMARK(BM_ThreadCpuTime);

}  // namespace
}  // namespace meridian
