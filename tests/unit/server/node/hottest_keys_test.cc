// HottestKeys and HotKeysToReport: the lists of a node, over all its namespaces.

#include "server/node/hottest_keys.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/hash.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

class HottestKeysTest : public testing::Test {
 protected:
  // So many reads of the sample, now.
  void Read(const std::string& name_space, const std::string& key, int reads = 1) {
    KeyRates& rates = namespaces_.Resolve(name_space)->rates;
    for (int i = 0; i < reads; ++i) rates.Count(Hash64(key), key, now_);
  }
  std::vector<std::string> Top(const std::string& name_space, size_t limit) {
    std::vector<std::string> names;
    for (const HotKey& key : HottestKeys(namespaces_, name_space, limit, now_)) {
      names.push_back(absl::StrCat(key.name_space, "/", key.key));
    }
    return names;
  }

  std::unique_ptr<Engine> engine_ = *Engine::Create({.capacity_bytes = 1 << 20, .shard_bits = 0});
  Namespaces namespaces_{*engine_, PolicyTable()};
  absl::Duration now_ = absl::Hours(1);
};

TEST_F(HottestKeysTest, AreOfAllNamespacesOrOfOneButNotOfTheNodesOwn) {
  Read("task", "a", 5);
  Read("task", "b", 3);
  Read("user", "a", 4);
  Read(std::string(kInternalNamespace), "heartbeat", 50);
  EXPECT_EQ(Top("", 10), (std::vector<std::string>{"task/a", "user/a", "task/b"}));
  EXPECT_EQ(Top("", 2), (std::vector<std::string>{"task/a", "user/a"}));
  EXPECT_EQ(Top("task", 10), (std::vector<std::string>{"task/a", "task/b"}));
  EXPECT_TRUE(Top("nobody", 10).empty());
}

TEST_F(HottestKeysTest, WhatNobodyAsksForAnyMoreIsLeftOut) {
  Read("task", "a", 50);
  now_ += absl::Hours(1);
  EXPECT_TRUE(Top("", 10).empty());
  Read("task", "b");
  EXPECT_EQ(Top("", 10), (std::vector<std::string>{"task/b"}));
}

TEST_F(HottestKeysTest, AReportIsBoundedByNamespaceInAllAndInBytes) {
  for (int n = 0; n < 20; ++n) {
    for (int k = 0; k < 80; ++k) Read(absl::StrCat("n", n), absl::StrCat("key:", k), 80 - k);
  }
  std::vector<HotKey> report = HotKeysToReport(namespaces_, now_);
  EXPECT_EQ(report.size(), kMaxReportedHotKeys);
  std::map<std::string, size_t> counts;
  for (const HotKey& key : report) ++counts[key.name_space];
  for (const auto& [name, count] : counts) EXPECT_LE(count, kMaxReportedOfNamespace) << name;
  EXPECT_EQ(counts.size(), 20u);
  EXPECT_EQ(report.front().key, "key:0");

  const std::string rest(limits::kMaxKeyBytes - 4, 'x');
  for (int n = 0; n < 20; ++n) {
    for (int k = 0; k < 50; ++k) {
      Read(absl::StrCat("n", n),
           absl::StrCat(k, std::string(4 - absl::StrCat(k).size(), '-'), rest), 100);
    }
  }
  report = HotKeysToReport(namespaces_, now_);
  size_t bytes = 0;
  for (const HotKey& key : report) bytes += key.name_space.size() + key.key.size();
  EXPECT_LE(bytes, kMaxReportedBytes);
  EXPECT_GT(bytes, kMaxReportedBytes / 2);
}

}  // namespace
}  // namespace meridian
