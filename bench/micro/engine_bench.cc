// L1 beside a textbook LRU (std::list, std::unordered_map and one mutex) and absl::flat_hash_map
// with one mutex, at 1 and 2 threads.
//
// 200 000 keys of 16 bytes with values of 100 bytes, asked for by Zipf 0.99. "Hot": everything
// fits. "Mixed": a fifth of the entries fits; a miss is put. Items are operations.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <list>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/hash.h"
#include "common/engine/engine.h"
#include "common/engine/entry_node.h"
#include "common/engine/traffic_log.h"

namespace meridian {
namespace {

constexpr size_t kKeys = 200'000;
constexpr size_t kValueSize = 100;
constexpr size_t kBatch = 64;  // Keys.
constexpr absl::Duration kNow = absl::Seconds(1000);

using KeyText = std::array<char, 16>;
std::string_view View(const KeyText& key) { return {key.data(), key.size()}; }

const std::vector<KeyText>& Keys() {
  static const auto& keys = *[] {
    auto* made = new std::vector<KeyText>(kKeys);
    for (size_t i = 0; i < kKeys; ++i) {
      char text[24];
      std::snprintf(text, sizeof(text), "user:%011zu", i);
      std::copy_n(text, 16, (*made)[i].begin());
    }
    return made;
  }();
  return keys;
}

// A million draws of Zipf 0.99, ranks scattered over the keys, one after the other as in the
// messages that they come in; each thread starts elsewhere in them.
const std::vector<KeyText>& Draws() {
  static const auto& draws = *[] {
    std::vector<double> cumulative(kKeys);
    double sum = 0;
    for (size_t i = 0; i < kKeys; ++i) cumulative[i] = sum += 1 / std::pow(i + 1, 0.99);
    std::vector<uint32_t> key_of_rank(kKeys);
    for (size_t i = 0; i < kKeys; ++i) key_of_rank[i] = static_cast<uint32_t>(i);
    std::mt19937_64 rng(42);
    std::shuffle(key_of_rank.begin(), key_of_rank.end(), rng);
    std::uniform_real_distribution<double> uniform(0, sum);
    auto* made = new std::vector<KeyText>(1'000'000);
    for (KeyText& draw : *made) {
      const auto rank = std::lower_bound(cumulative.begin(), cumulative.end(), uniform(rng));
      draw = Keys()[key_of_rank[std::min<size_t>(rank - cumulative.begin(), kKeys - 1)]];
    }
    return made;
  }();
  return draws;
}

template <const char* kPolicy>
class PolicyCache {
 public:
  explicit PolicyCache(size_t entries)
      : engine_(*Engine::Create({.capacity_bytes = size_t{1} << 30,
                                 .capacity_entries = entries,
                                 .shard_bits = EngineOptions::ShardBitsFor(
                                     size_t{1} << 30, entries, std::thread::hardware_concurrency()),
                                 .policy = kPolicy,
                                 .hash_seed = 7})),
        name_space_(*engine_->InternNamespace("bench")) {}

  bool Get(std::string_view key) {
    Entry entry;
    const bool hit = engine_->Get(KeyOf(key), kNow, &entry);
    benchmark::DoNotOptimize(entry.value.view().data());
    return hit;
  }
  size_t GetAll(const KeyText* keys) {
    std::array<EntryKey, kBatch> batch;
    std::array<Lookup, kBatch> answers;
    for (size_t i = 0; i < kBatch; ++i) batch[i] = KeyOf(View(keys[i]));
    engine_->GetBatch(batch, kNow, answers.data());
    size_t hits = 0;
    for (const Lookup& answer : answers) {
      hits += answer.found ? 1 : 0;
      benchmark::DoNotOptimize(answer.entry.value.view().data());
    }
    return hits;
  }
  void Put(std::string_view key, uint64_t version) {
    Entry entry = {.value = Buffer::CopyOf(std::string_view(kValue, kValueSize)),
                   .version = {version, 1},
                   .expires_at = kNow + absl::Seconds(60 + version % 3600),
                   .raw_size = kValueSize};
    engine_->Put(KeyOf(key), std::move(entry), kNow);
  }

 private:
  EntryKey KeyOf(std::string_view key) const {
    return {name_space_, SlotOf("bench", key), engine_->HashOf(name_space_, key), key};
  }

  static constexpr char kValue[kValueSize] = {};
  std::unique_ptr<Engine> engine_;
  NamespaceId name_space_;
};

inline constexpr char kLru[] = "lru";
inline constexpr char kAdaptive[] = "adaptive";
using MeridianLru = PolicyCache<kLru>;
using MeridianAdaptive = PolicyCache<kAdaptive>;

// So that nobody makes a string to look for one.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class TextbookLru {
 public:
  explicit TextbookLru(size_t entries) : capacity_(entries) {}

  bool Get(std::string_view key) {
    std::lock_guard<std::mutex> lock(mu_);
    return GetLocked(key);
  }
  size_t GetAll(const KeyText* keys) {
    std::lock_guard<std::mutex> lock(mu_);
    size_t hits = 0;
    for (size_t i = 0; i < kBatch; ++i) hits += GetLocked(View(keys[i])) ? 1 : 0;
    return hits;
  }
  void Put(std::string_view key, uint64_t) {
    std::lock_guard<std::mutex> lock(mu_);
    auto found = map_.find(key);
    if (found != map_.end()) order_.erase(found->second);
    order_.emplace_front(std::string(key), std::string(kValueSize, 'v'));
    map_[std::string(key)] = order_.begin();
    if (map_.size() > capacity_) {
      map_.erase(order_.back().first);
      order_.pop_back();
    }
  }

 private:
  bool GetLocked(std::string_view key) {
    auto found = map_.find(key);
    if (found == map_.end()) return false;
    order_.splice(order_.begin(), order_, found->second);
    std::string value = found->second->second;  // The caller needs a value of its own.
    benchmark::DoNotOptimize(value.data());
    return true;
  }
  using Order = std::list<std::pair<std::string, std::string>>;
  const size_t capacity_;
  std::mutex mu_;
  Order order_;
  std::unordered_map<std::string, Order::iterator, TextHash, std::equal_to<>> map_;
};

// absl::flat_hash_map and one mutex, without any eviction: what a lookup costs by itself.
class LockedMap {
 public:
  explicit LockedMap(size_t entries) { map_.reserve(entries); }

  bool Get(std::string_view key) {
    std::lock_guard<std::mutex> lock(mu_);
    return GetLocked(key);
  }
  size_t GetAll(const KeyText* keys) {
    std::lock_guard<std::mutex> lock(mu_);
    size_t hits = 0;
    for (size_t i = 0; i < kBatch; ++i) hits += GetLocked(View(keys[i])) ? 1 : 0;
    return hits;
  }
  void Put(std::string_view key, uint64_t) {
    std::lock_guard<std::mutex> lock(mu_);
    map_[std::string(key)] = std::string(kValueSize, 'v');
  }

 private:
  bool GetLocked(std::string_view key) {
    auto found = map_.find(key);
    if (found == map_.end()) return false;
    std::string value = found->second;
    benchmark::DoNotOptimize(value.data());
    return true;
  }
  std::mutex mu_;
  absl::flat_hash_map<std::string, std::string, TextHash, std::equal_to<>> map_;
};

// Everything fits.
template <typename Cache>
Cache* NewHotCache() {
  auto* cache = new Cache(2 * kKeys);
  for (const KeyText& key : Keys()) cache->Put(View(key), 1);
  return cache;
}

template <typename Cache>
void BM_HotGet(benchmark::State& state) {
  static Cache* cache = nullptr;
  if (state.thread_index() == 0) {
    cache = NewHotCache<Cache>();
  }
  const std::vector<KeyText>& draws = Draws();
  size_t at = state.thread_index() * 500'000;
  for (auto _ : state) {
    benchmark::DoNotOptimize(cache->Get(View(draws[at++ % draws.size()])));
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete std::exchange(cache, nullptr);
}

// As BM_HotGet, 64 keys at a time; whoever has one lock takes it once.
template <typename Cache>
void BM_HotGetBatch(benchmark::State& state) {
  static Cache* cache = nullptr;
  if (state.thread_index() == 0) {
    cache = NewHotCache<Cache>();
  }
  const std::vector<KeyText>& draws = Draws();
  size_t at = state.thread_index() * 500'000;
  for (auto _ : state) {
    if (cache->GetAll(&draws[at % (draws.size() - kBatch)]) != kBatch) std::abort();
    at += kBatch;
  }
  state.SetItemsProcessed(state.iterations() * kBatch);
  if (state.thread_index() == 0) delete std::exchange(cache, nullptr);
}

template <typename Cache>
void BM_MixedGetPut(benchmark::State& state) {
  static Cache* cache = nullptr;
  if (state.thread_index() == 0) {
    cache = new Cache(kKeys / 5);
    for (const KeyText& draw : Draws()) cache->Put(View(draw), 1);
  }
  const std::vector<KeyText>& draws = Draws();
  size_t at = state.thread_index() * 500'000;
  size_t hits = 0;
  for (auto _ : state) {
    const std::string_view key = View(draws[at++ % draws.size()]);
    if (cache->Get(key)) {
      ++hits;
    } else {
      cache->Put(key, at);
    }
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["hit_ratio"] =
      benchmark::Counter(static_cast<double>(hits) / static_cast<double>(state.iterations()),
                         benchmark::Counter::kAvgThreads);
  if (state.thread_index() == 0) delete std::exchange(cache, nullptr);
}

template <typename Cache>
void BM_Put(benchmark::State& state) {
  static Cache* cache = nullptr;
  if (state.thread_index() == 0) {
    cache = new Cache(kKeys / 5);
    for (const KeyText& key : Keys()) cache->Put(View(key), 1);
  }
  const std::vector<KeyText>& draws = Draws();
  size_t at = state.thread_index() * 500'000;
  for (auto _ : state) {
    cache->Put(View(draws[at % draws.size()]), 2 + at);
    ++at;
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete std::exchange(cache, nullptr);
}

// What the log for what-if answers adds to a Get: of a large namespace, where few keys are
// followed, and of one whose keys are all followed.
void BM_TrafficLog(benchmark::State& state) {
  static TrafficLog* log = nullptr;
  if (state.thread_index() == 0) {
    log = new TrafficLog;
    log->FitTo(static_cast<size_t>(state.range(0)));
  }
  uint64_t hash = state.thread_index();
  for (auto _ : state) {
    hash += 0x9E3779B97F4A7C15;
    log->Record(TrafficKind::kHit, hash, kNow, 200, {.given = absl::Seconds(60)});
  }
  state.SetItemsProcessed(state.iterations());
  if (state.thread_index() == 0) delete std::exchange(log, nullptr);
}

BENCHMARK(BM_TrafficLog)->Arg(1'000'000)->Arg(1000)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGet<MeridianAdaptive>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGet<MeridianLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGet<TextbookLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGet<LockedMap>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGetBatch<MeridianAdaptive>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGetBatch<MeridianLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGetBatch<TextbookLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_HotGetBatch<LockedMap>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_MixedGetPut<MeridianAdaptive>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_MixedGetPut<MeridianLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_MixedGetPut<TextbookLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_Put<MeridianAdaptive>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_Put<MeridianLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_Put<TextbookLru>)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK(BM_Put<LockedMap>)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace meridian
