#include "common/engine/ttl_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/unit/common/engine/engine_fixture.h"

namespace meridian {
namespace {

class TtlPolicyTest : public testing::Test {
 protected:
  void Make(size_t entries) {
    engine_ = MakeEngine({.capacity_entries = entries, .shard_bits = 0, .policy = "ttl"});
  }
  void Put(int key, int64_t expires_s) {
    engine_->Put(KeyOf(*engine_, "n", absl::StrCat(key)),
                 MakeEntry("v", V(static_cast<uint64_t>(key) + 1), absl::Seconds(expires_s)),
                 absl::ZeroDuration());
  }
  bool Has(int key) {
    Entry entry;
    const std::string name = absl::StrCat(key);
    return engine_->Peek(KeyOf(*engine_, "n", name), absl::ZeroDuration(), &entry);
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(TtlPolicyTest, OfFewEntriesTheSoonestGoes) {
  constexpr size_t kEntries = 50;  // No list is longer than what one victim may sort.
  Make(kEntries);
  std::mt19937 random(11);
  // (second, or the last victim's if that is later; arrival)
  std::set<std::pair<int64_t, int>> model;
  int64_t last_victim = 0;
  for (int key = 0; key < 5000; ++key) {
    // From seconds to a year.
    const int64_t expires_s = 1 + static_cast<int64_t>(random()) % (int64_t{1} << (random() % 25));
    Put(key, expires_s);
    model.insert({std::max(expires_s, last_victim), key});
    if (model.size() > kEntries) {
      last_victim = model.begin()->first;
      EXPECT_FALSE(Has(model.begin()->second)) << "of key " << key;
      model.erase(model.begin());
    }
    ASSERT_EQ(engine_->entries(), model.size());
    for (const auto& [second, resident] : model) ASSERT_TRUE(Has(resident)) << resident;
    if (random() % 10 == 0) {
      auto gone = model.begin();
      std::advance(gone, random() % model.size());
      engine_->Erase(KeyOf(*engine_, "n", absl::StrCat(gone->second)), V(1'000'000));
      model.erase(gone);
    }
  }
}

TEST_F(TtlPolicyTest, OfManyEntriesTheLongLivedStay) {
  Make(10'000);
  for (int key = 0; key < 10'000; ++key) Put(key, key % 2 == 0 ? 600 + key % 60 : 86'400);
  for (int key = 10'000; key < 14'000; ++key) Put(key, 86'400);
  int long_lived = 0;
  for (int key = 1; key < 10'000; key += 2) long_lived += Has(key) ? 1 : 0;
  EXPECT_EQ(long_lived, 5000) << "there were short-lived ones enough";
}

}  // namespace
}  // namespace meridian
