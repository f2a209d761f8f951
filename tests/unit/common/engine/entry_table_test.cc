#include "common/engine/entry_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

BlockArena& TestArena() {
  static BlockArena& arena = *BlockArena::Create().release();
  return arena;
}

constexpr KeyHasher kHasher = {7};

EntryKey KeyOf(const std::string& key) { return {1, 0, kHasher.Of(1, key), key}; }

EntryNode::Owner Node(const std::string& key) {
  return EntryNode::Create(TestArena(), KeyOf(key), Entry{});
}

TEST(EntryTableTest, FindsExactlyWhatIsInItWhileItGrowsAndShrinks) {
  EntryTable table(kHasher);
  std::map<std::string, EntryNode::Owner> model;
  std::mt19937 rng(7);
  for (int i = 0; i < 100'000; ++i) {
    const std::string key = absl::StrCat("k", rng() % 20'000);
    const EntryKey entry_key = KeyOf(key);
    auto found = model.find(key);
    ASSERT_EQ(table.Find(entry_key), found == model.end() ? nullptr : found->second.get());
    if (found == model.end()) {
      table.Insert(model.emplace(key, Node(key)).first->second.get());
    } else if (rng() % 3 == 0) {
      table.Remove(found->second.get());
      model.erase(found);
    }
    ASSERT_EQ(table.size(), model.size());
  }
  EXPECT_GT(table.bucket_count(), 10'000);
  for (const auto& [key, node] : model) {
    EXPECT_EQ(table.Find(KeyOf(key)), node.get());
  }
}

TEST(EntryTableTest, AWalkMeetsEveryNodeAlthoughBucketsSplitMeanwhile) {
  EntryTable table(kHasher);
  std::map<std::string, EntryNode::Owner> nodes;
  const auto add = [&](const std::string& key) {
    table.Insert(nodes.emplace(key, Node(key)).first->second.get());
  };
  for (int i = 0; i < 1000; ++i) add(absl::StrCat("old", i));
  std::map<std::string, int> met;
  for (size_t bucket = 0; bucket < table.bucket_count(); ++bucket) {
    for (EntryNode* node = table.BucketHead(bucket); node != nullptr;
         node = EntryTable::NextOf(*node)) {
      ++met[std::string(node->key())];
    }
    if (nodes.size() < 3000) add(absl::StrCat("new", bucket));
  }
  for (int i = 0; i < 1000; ++i) EXPECT_GE(met[absl::StrCat("old", i)], 1) << i;
}

}  // namespace
}  // namespace meridian
