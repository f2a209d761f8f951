// W-TinyLFU against a model of lists, and what scans do to the policies that claim to resist them.
// The sketch is the real one: FrequencySketchTest holds it to exact counts.

#include "common/engine/w_tinylfu_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/frequency_sketch.h"
#include "tests/unit/common/engine/policy_driver.h"

namespace meridian {
namespace {

using Keys = std::vector<int>;  // The one that goes first in front.

bool Has(const Keys& keys, int key) { return std::count(keys.begin(), keys.end(), key) > 0; }
void Take(Keys& keys, int key) { keys.erase(std::find(keys.begin(), keys.end(), key)); }

// Bounded by entries alone.
class WTinyLfuModel : public PolicyModel {
 public:
  WTinyLfuModel(size_t entries, Engine& hasher)
      : entries_(static_cast<double>(entries)), sketch_(entries), hasher_(hasher) {}

  size_t WindowBound() const {
    return static_cast<size_t>(
        std::max(entries_ - std::max(std::floor(entries_ * (1 - share_)), 1.0), 1.0));
  }
  size_t ProtectedBound() const {
    return static_cast<size_t>(
        std::max(std::floor(entries_ * (0.01 + 0.8 * (1 - 0.01) - share_)), 1.0));
  }

  void Coming(int key, size_t size) override {
    Climb();
    Balance();
    ++misses_;
    window_.push_back(key);
    sketch_.Count(HashOf(key));
    candidate_ = -1;
    while (window_.size() > WindowBound()) {
      if (candidate_ < 0) candidate_ = window_.front();
      Move(window_, probation_, window_.front());
    }
  }
  void Insert(int key, size_t size) override {}
  void Hit(int key) override {
    ++hits_;
    sketch_.Count(HashOf(key));
    if (Has(window_, key)) {
      Move(window_, window_, key);
    } else if (Has(protected_, key)) {
      Move(protected_, protected_, key);
    } else {
      if (candidate_ == key) candidate_ = -1;
      Move(probation_, protected_, key);
      while (protected_.size() > ProtectedBound()) {
        Move(protected_, probation_, protected_.front());
      }
    }
  }
  void Remove(int key) override {
    if (candidate_ == key) candidate_ = -1;
    for (Keys* keys : {&window_, &probation_, &protected_}) {
      if (Has(*keys, key)) Take(*keys, key);
    }
  }
  void Replace(int key, size_t size) override { Hit(key); }
  int Evict() override {
    const int candidate = candidate_ >= 0 ? candidate_ : window_.front();
    int victim = candidate;
    const Keys& main = probation_.empty() ? protected_ : probation_;
    if (!main.empty() && main.front() != candidate) {
      victim = Admits(candidate, main.front()) ? main.front() : candidate;
    }
    Remove(victim);
    return victim;
  }
  size_t window_bound_min = 1000;
  size_t window_bound_max = 0;

 private:
  static void Move(Keys& from, Keys& to, int key) {
    Take(from, key);
    to.push_back(key);
  }
  uint32_t HashOf(int key) {
    return static_cast<uint32_t>(hasher_.HashOf(*hasher_.InternNamespace("n"), absl::StrCat(key)));
  }
  bool Admits(int candidate, int victim) {
    const int frequency = sketch_.Estimate(HashOf(candidate));
    if (frequency > sketch_.Estimate(HashOf(victim))) return true;
    if (frequency < 6) return false;
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    return (random_ >> 32) % 128 == 0;
  }
  void Climb() {
    if (hits_ + misses_ < sketch_.period()) return;
    const double rate = static_cast<double>(hits_) / static_cast<double>(hits_ + misses_);
    const double change = rate - last_rate_;
    const double step = change >= 0 ? step_ : -step_;
    step_ = std::abs(change) >= 0.05 ? (step < 0 ? -0.0625 : 0.0625) : 0.98 * step;
    last_rate_ = rate;
    hits_ = misses_ = 0;
    share_ = std::min(std::max(share_ + step, 0.0), 0.01 + 0.8 * (1 - 0.01));
    widened_ = step > 0;
    window_bound_min = std::min(window_bound_min, WindowBound());
    window_bound_max = std::max(window_bound_max, WindowBound());
  }
  void Balance() {
    while (window_.size() > WindowBound()) Move(window_, probation_, window_.front());
    while (protected_.size() > ProtectedBound()) Move(protected_, probation_, protected_.front());
    while (widened_ && window_.size() < WindowBound() &&
           probation_.size() + protected_.size() > 0) {
      Keys& from = probation_.empty() ? protected_ : probation_;
      Move(from, window_, from.front());
    }
    widened_ = false;
  }

  const double entries_;
  FrequencySketch sketch_;
  Engine& hasher_;
  Keys window_;
  Keys probation_;
  Keys protected_;
  int candidate_ = -1;
  uint64_t random_ = 1;
  double share_ = 0.01;
  double step_ = -0.0625;
  double last_rate_ = 0;
  bool widened_ = false;
  size_t hits_ = 0;
  size_t misses_ = 0;
};

class WTinyLfuPolicyTest : public testing::TestWithParam<uint32_t> {};

TEST_P(WTinyLfuPolicyTest, IsItsModel) {
  const std::unique_ptr<Engine> hasher = MakeEngine({});
  WTinyLfuModel model(40, *hasher);
  PolicyDriver(
      {.policy = "w_tinylfu", .entries = 40, .keys = 150, .operations = 30'000, .seed = GetParam()},
      model)
      .Run();
  EXPECT_LT(model.window_bound_min, model.window_bound_max) << "the climber never moved";
}

INSTANTIATE_TEST_SUITE_P(Seeds, WTinyLfuPolicyTest, testing::Values(1, 2, 3));

// A set that is asked for again and again survives a scan of twenty times the capacity.
TEST(ScanTest, HotKeysSurviveAScan) {
  for (const char* policy : {"s3_fifo", "w_tinylfu"}) {
    const std::unique_ptr<Engine> engine =
        MakeEngine({.capacity_entries = 100, .shard_bits = 0, .policy = policy});
    uint64_t version = 0;
    const auto ask = [&](int key) {
      const std::string name = absl::StrCat(key);
      Entry entry;
      if (engine->Get(KeyOf(*engine, "n", name), absl::ZeroDuration(), &entry)) return true;
      engine->Put(KeyOf(*engine, "n", name), MakeEntry("v", V(++version)), absl::ZeroDuration());
      return false;
    };
    for (int round = 0; round < 5; ++round) {
      for (int key = 0; key < 60; ++key) ask(key);
    }
    for (int key = 1000; key < 3000; ++key) ask(key);
    int kept = 0;
    for (int key = 0; key < 60; ++key) kept += ask(key) ? 1 : 0;
    EXPECT_GE(kept, 55) << policy;
  }
}

TEST(ScanTest, BoundedByBytesTheSketchGrowsWithTheEntries) {
  const std::unique_ptr<Engine> engine =
      MakeEngine({.capacity_bytes = 1 << 20, .shard_bits = 0, .policy = "w_tinylfu"});
  for (int i = 0; i < 50'000; ++i) {
    const std::string name = absl::StrCat(i % 7919);
    Entry entry;
    if (engine->Get(KeyOf(*engine, "n", name), absl::ZeroDuration(), &entry)) continue;
    engine->Put(KeyOf(*engine, "n", name), MakeEntry("v", V(static_cast<uint64_t>(i) + 1)),
                absl::ZeroDuration());
  }
  EXPECT_LE(engine->bytes(), size_t{1} << 20);
  EXPECT_GT(engine->entries(), 5000u);
  ExpectConsistent(*engine);
}

}  // namespace
}  // namespace meridian
