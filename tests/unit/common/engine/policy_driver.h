// Drives an eviction policy in the real engine, and a model of it that is slow and obviously right,
// through the same random operations, and compares what is resident after each.

#ifndef MERIDIAN_TESTS_UNIT_COMMON_ENGINE_POLICY_DRIVER_H_
#define MERIDIAN_TESTS_UNIT_COMMON_ENGINE_POLICY_DRIVER_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {

// The papers' way round: room is made first, then the newcomer comes. The driver keeps the sizes.
class PolicyModel {
 public:
  virtual ~PolicyModel() = default;
  virtual void Insert(int key, size_t size) = 0;
  virtual void Hit(int key) = 0;
  virtual void Remove(int key) = 0;
  virtual void Replace(int key, size_t size) = 0;
  // Takes one key out to make room.
  virtual int Evict() = 0;
  // Called before room is made for it, when it misses and will be inserted.
  virtual void Coming(int key, size_t size) {}
};

struct DriverOptions {
  std::string policy;
  size_t entries = 0;  // 0: none.
  size_t bytes = size_t{1} << 40;
  int keys = 40;
  int operations = 20'000;
  uint32_t seed = 1;
};

class PolicyDriver {
 public:
  PolicyDriver(DriverOptions options, PolicyModel& model)
      : options_(options),
        engine_(MakeEngine({.capacity_bytes = options.bytes,
                            .capacity_entries = options.entries,
                            .shard_bits = 0,
                            .policy = options.policy})),
        model_(model),
        random_(options.seed) {}

  void Run() {
    for (int i = 0; i < options_.operations; ++i) {
      Step();
      ASSERT_EQ(Resident(), Expected()) << options_.policy << " after operation " << i;
    }
    ExpectConsistent(*engine_);
  }

 private:
  struct Item {
    size_t size;
    int64_t expires_ms;
  };

  int Draw(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  // Few keys are asked for often and many seldom.
  int DrawKey() { return Draw(Draw(options_.keys) + 1); }

  void Step() {
    ++now_ms_;
    Expire();
    const int key = DrawKey();
    const int kind = Draw(100);
    if (kind < 75) {
      if (!Get(key)) Put(key);
    } else if (kind < 85) {
      Put(key);
    } else if (kind < 95) {
      Erase(key);
    } else {
      Get(key);
    }
  }

  bool Get(int key) {
    const std::string name = absl::StrCat(key);
    Entry entry;
    const bool hit = engine_->Get(KeyOf(*engine_, "n", name), Now(), &entry);
    if (hit) model_.Hit(key);
    return hit;
  }

  void Put(int key) {
    const std::string name = absl::StrCat(key);
    const bool short_lived = Draw(8) == 0;
    const Entry entry =
        MakeEntry(std::string(static_cast<size_t>(Draw(200)), 'v'), V(++version_),
                  absl::Milliseconds(now_ms_ + (short_lived ? 1 + Draw(60) : 1'000'000'000)));
    const Item item = {EntryCharge(name.size(), entry),
                       absl::ToInt64Milliseconds(entry.expires_at)};
    const bool there = items_.count(key) > 0;
    EXPECT_EQ(engine_->Put(KeyOf(*engine_, "n", name), entry, Now()), PutOutcome::kStored);
    if (there) {
      items_[key] = item;
      model_.Replace(key, item.size);
      MakeRoom(0, 0);
    } else {
      model_.Coming(key, item.size);
      MakeRoom(1, item.size);
      items_[key] = item;
      model_.Insert(key, item.size);
    }
  }

  void Erase(int key) {
    const std::string name = absl::StrCat(key);
    engine_->Erase(KeyOf(*engine_, "n", name), V(version_));
    if (items_.erase(key) > 0) model_.Remove(key);
  }

  void Expire() {
    engine_->Advance(Now(), 1000);
    for (auto item = items_.begin(); item != items_.end();) {
      if (item->second.expires_ms > now_ms_) {
        ++item;
        continue;
      }
      model_.Remove(item->first);
      item = items_.erase(item);
    }
  }

  void MakeRoom(size_t entries, size_t bytes) {
    for (const auto& [key, item] : items_) bytes += item.size;
    while (bytes > options_.bytes ||
           (options_.entries != 0 && items_.size() + entries > options_.entries)) {
      const auto victim = items_.find(model_.Evict());
      ASSERT_NE(victim, items_.end());
      bytes -= victim->second.size;
      items_.erase(victim);
    }
  }

  absl::Duration Now() const { return absl::Milliseconds(now_ms_); }

  std::set<int> Expected() const {
    std::set<int> keys;
    for (const auto& [key, item] : items_) keys.insert(key);
    return keys;
  }

  std::set<int> Resident() {
    std::set<int> keys;
    for (int key = 0; key < options_.keys; ++key) {
      const std::string name = absl::StrCat(key);
      Entry entry;
      if (engine_->Peek(KeyOf(*engine_, "n", name), Now(), &entry)) keys.insert(key);
    }
    return keys;
  }

  const DriverOptions options_;
  const std::unique_ptr<Engine> engine_;
  PolicyModel& model_;
  std::mt19937 random_;
  std::map<int, Item> items_;
  int64_t now_ms_ = 0;
  uint64_t version_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_COMMON_ENGINE_POLICY_DRIVER_H_
