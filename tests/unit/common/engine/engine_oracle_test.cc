// The engine against a model that is slow and obviously right: a map and a list.

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/engine/engine.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

// One shard of LRU as its promises say it, without any of its tricks.
class Model {
 public:
  Model(size_t capacity_bytes, size_t capacity_entries)
      : capacity_bytes_(capacity_bytes), capacity_entries_(capacity_entries) {}

  const Entry* Find(const std::string& key, absl::Duration now, bool touch) {
    auto found = map_.find(key);
    if (found == map_.end() || dropped_.count(key) > 0) return nullptr;
    if (found->second.entry.expires_at <= now) return nullptr;
    if (touch) order_.splice(order_.begin(), order_, found->second.place);
    return &found->second.entry;
  }

  PutOutcome Put(const std::string& key, const Entry& entry, absl::Duration now) {
    if (dropped_.count(key) > 0) Remove(key);
    auto found = map_.find(key);
    if (found != map_.end()) {
      const Entry& old = found->second.entry;
      if (old.version > entry.version) return PutOutcome::kStale;
      if (old.version == entry.version && old.expires_at > now) return PutOutcome::kStale;
      Remove(key);
    }
    if (EntryCharge(key.size(), entry) > capacity_bytes_) return PutOutcome::kTooLarge;
    if (entry.expires_at <= now) return PutOutcome::kExpired;
    order_.push_front(key);
    map_[key] = {entry, order_.begin()};
    bytes_ += EntryCharge(key.size(), entry);
    while (bytes_ > capacity_bytes_ || map_.size() > capacity_entries_) {
      Remove(std::string(order_.back()));
    }
    return PutOutcome::kStored;
  }

  bool Erase(const std::string& key, Version version) {
    if (dropped_.count(key) > 0) Remove(key);
    auto found = map_.find(key);
    if (found == map_.end() || found->second.entry.version > version) return false;
    Remove(key);
    return true;
  }

  void DropSlot(uint32_t slot) {
    for (const auto& [key, item] : map_) {
      if (SlotOf("n", key) == slot) dropped_.insert(key);
    }
  }

  size_t Advance(absl::Duration now) {
    std::vector<std::string> gone(dropped_.begin(), dropped_.end());
    const absl::Duration tick = absl::Floor(now, absl::Milliseconds(1));
    for (const auto& [key, item] : map_) {
      if (item.entry.expires_at <= tick && dropped_.count(key) == 0) gone.push_back(key);
    }
    for (const std::string& key : gone) Remove(key);
    return gone.size();
  }

  size_t bytes() const { return bytes_; }
  size_t entries() const { return map_.size(); }

 private:
  struct Item {
    Entry entry;
    std::list<std::string>::iterator place;
  };

  void Remove(const std::string& key) {
    auto found = map_.find(key);
    bytes_ -= EntryCharge(key.size(), found->second.entry);
    order_.erase(found->second.place);
    map_.erase(found);
    dropped_.erase(key);
  }

  const size_t capacity_bytes_;
  const size_t capacity_entries_;
  size_t bytes_ = 0;
  std::map<std::string, Item> map_;
  std::set<std::string> dropped_;
  std::list<std::string> order_;  // The most recently used first.
};

class EngineOracleTest : public testing::TestWithParam<uint32_t> {
 protected:
  static constexpr size_t kBytes = 60'000;
  static constexpr size_t kEntries = 250;

  Entry RandomEntry() {
    const std::string value(rng_() % 50 == 0 ? rng_() % (2 * kBytes) : rng_() % 300, 'v');
    Entry entry = MakeEntry(value, V(1 + rng_() % 60, 1 + rng_() % 2));
    entry.expires_at =
        absl::Floor(now_, kExpiryUnit) + kExpiryUnit * (static_cast<int64_t>(rng_() % 20'000) - 10);
    if (rng_() % 8 == 0) entry.tags = Buffer::CopyOf(std::string(rng_() % 40, 't'));
    if (rng_() % 8 == 0) entry.raw_size += 1;
    return entry;
  }

  void Step(Engine& engine, Model& model) {
    const std::string name = absl::StrCat("key:", rng_() % 600);
    const EntryKey key = KeyOf(engine, "n", name);
    Entry entry;
    switch (rng_() % 16) {
      case 0: {
        const Version version = V(1 + rng_() % 60);
        ASSERT_EQ(engine.Erase(key, version), model.Erase(name, version));
        break;
      }
      case 1:
        now_ += absl::Microseconds(rng_() % 9000);
        break;
      case 2:
        if (rng_() % 40 == 0) {
          engine.DropSlot(key.slot);
          model.DropSlot(key.slot);
        }
        break;
      case 3:
        if (rng_() % 10 == 0) {
          ASSERT_EQ(engine.Advance(now_, 1'000'000), model.Advance(now_));
        }
        break;
      case 4:
      case 5:
      case 6:
      case 7:
      case 8: {
        entry = RandomEntry();
        ASSERT_EQ(engine.Put(key, entry, now_), model.Put(name, entry, now_));
        break;
      }
      default: {
        const bool peek = rng_() % 4 == 0;
        const bool found = peek ? engine.Peek(key, now_, &entry) : engine.Get(key, now_, &entry);
        const Entry* expected = model.Find(name, now_, !peek);
        ASSERT_EQ(found, expected != nullptr);
        if (found) {
          ASSERT_EQ(entry.version, expected->version);
          ASSERT_EQ(entry.value.size(), expected->value.size());
          ASSERT_EQ(entry.tags.view(), expected->tags.view());
          ASSERT_EQ(entry.raw_size, expected->raw_size);
          ASSERT_EQ(entry.expires_at, expected->expires_at);
        }
      }
    }
  }

  std::mt19937 rng_{GetParam()};
  absl::Duration now_ = absl::Seconds(5000);
};

TEST_P(EngineOracleTest, AMillionOperationsAnswerAsTheModelDoes) {
  std::unique_ptr<Engine> engine =
      MakeEngine({.capacity_bytes = kBytes, .capacity_entries = kEntries, .shard_bits = 0});
  Model model(kBytes, kEntries);
  for (int i = 0; i < 500'000; ++i) {
    Step(*engine, model);
    if (i % 8 == 0) {
      ASSERT_EQ(engine->bytes(), model.bytes());
      ASSERT_EQ(engine->entries(), model.entries());
    }
    ASSERT_FALSE(HasFatalFailure()) << "seed " << GetParam() << ", step " << i;
  }
  ExpectConsistent(*engine);
  EXPECT_EQ(engine->Clear(), model.entries());
  EXPECT_EQ(engine->bytes(), 0);
}

INSTANTIATE_TEST_SUITE_P(Seeds, EngineOracleTest, testing::Values(1, 2));

}  // namespace
}  // namespace meridian
