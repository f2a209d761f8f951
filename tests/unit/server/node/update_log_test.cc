#include "server/node/update_log.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class UpdateLogTest : public NodeFixture {
 protected:
  void StartWithLogs(int count) {
    StartNodes(count);
    for (int i = 0; i < count; ++i) {
      logs_.push_back(std::make_unique<UpdateLog>());
      node(i).writes().SetUpdates(logs_.back().get());
    }
  }
  NamespaceId Id(int i) { return node(i).KeyOf("k").name_space; }
  // What the log of a node has of kSpace.
  std::vector<std::string> Take(int i) {
    std::vector<UpdateLog::Batch> batches = logs_[static_cast<size_t>(i)]->Take();
    if (batches.empty()) return {};
    EXPECT_THAT(batches, SizeIs(1));
    EXPECT_EQ(batches[0].name_space, kSpace);
    EXPECT_EQ(batches[0].id, Id(i));
    std::sort(batches[0].keys.begin(), batches[0].keys.end());
    return std::move(batches[0].keys);
  }

  std::vector<std::unique_ptr<UpdateLog>> logs_;
};

TEST_F(UpdateLogTest, WhatAClientSetsOrInvalidatesIsKeptOnceByTheNodeThatItAsked) {
  StartWithLogs(2);
  const std::string key = KeyOwnedBy(1);
  EXPECT_EQ(WriteOne(node(0), SetOf(key, "v")).state, EntryState::kOk);
  EXPECT_EQ(WriteOne(node(0), SetOf(key, "w")).state, EntryState::kOk);
  EXPECT_EQ(WriteOne(node(0), InvalidateOf("gone")).state, EntryState::kOk);
  EXPECT_THAT(Take(1), IsEmpty()) << "the owner tells it, too";
  EXPECT_THAT(Take(0), UnorderedElementsAre(key, "gone"));
  EXPECT_THAT(Take(0), IsEmpty()) << "told twice";
}

TEST_F(UpdateLogTest, WhatChangedNothingAndFillsAreNoUpdates) {
  StartWithLogs(1);
  ASSERT_EQ(WriteOne(node(0), SetOf("k", "v")).state, EntryState::kOk);
  ASSERT_THAT(Take(0), ElementsAre("k"));
  WriteItem once = SetOf("k", "w");
  once.if_absent = true;
  EXPECT_EQ(WriteOne(node(0), std::move(once)).state, EntryState::kConflict);
  EXPECT_EQ(WriteOne(node(0), TouchOf("k", absl::Seconds(9))).state, EntryState::kOk);
  store_.FailNext(absl::UnavailableError("by the test"));
  EXPECT_EQ(WriteOne(node(0), SetOf("failed", "w")).state, EntryState::kError);
  ReadOptions options;
  options.want_lease = true;
  const ReadResult miss = ReadOne(node(0), "filled", options);
  ASSERT_FALSE(miss.lease.empty());
  WriteItem fill = SetOf("filled", "v");
  fill.lease = miss.lease;
  EXPECT_EQ(WriteOne(node(0), std::move(fill)).state, EntryState::kOk);
  EXPECT_THAT(Take(0), IsEmpty());
}

TEST_F(UpdateLogTest, ANamespaceThatIsLeftOutCostsNothingAndComesBack) {
  StartWithLogs(1);
  WriteOne(node(0), SetOf("before", "v"));
  logs_[0]->SetFollowed(Id(0), false);
  EXPECT_FALSE(logs_[0]->Follows(Id(0)));
  WriteOne(node(0), SetOf("meanwhile", "v"));
  EXPECT_THAT(Take(0), IsEmpty());
  EXPECT_EQ(logs_[0]->dropped(), 0u);
  logs_[0]->SetFollowed(Id(0), true);
  WriteOne(node(0), SetOf("later", "v"));
  EXPECT_THAT(Take(0), ElementsAre("later"));
}

TEST_F(UpdateLogTest, ItIsBoundedAndCountsWhatHadNoRoom) {
  UpdateLog log;
  const auto add = [&log](NamespaceId id, const std::string& name, size_t keys, size_t size) {
    std::vector<std::string> names;
    for (size_t i = 0; i < keys; ++i) {
      names.push_back(absl::StrCat(i));
      names.back().resize(std::max(size, names.back().size()), 'k');
    }
    WriteRequest request;
    request.name_space = name;
    for (const std::string& key : names) request.items.push_back(SetOf(key, "v"));
    log.Add(id, request, std::vector<WriteResult>(keys));
  };
  const auto kept = [&log] {
    size_t keys = 0;
    for (const UpdateLog::Batch& batch : log.Take()) keys += batch.keys.size();
    return keys;
  };
  add(1, "a", UpdateLog::kMaxKeys + 7, 1);
  EXPECT_EQ(log.dropped(), 7u);
  add(2, "b", UpdateLog::kMaxKeys, 1);
  add(3, "c", UpdateLog::kMaxKeys, 1);
  EXPECT_EQ(kept(), UpdateLog::kMaxKeysOfAll);
  EXPECT_EQ(log.dropped(), 7 + 3 * UpdateLog::kMaxKeys - UpdateLog::kMaxKeysOfAll);
  add(1, "a", 100, UpdateLog::kMaxBytes / 10);
  EXPECT_EQ(kept(), 10u);
  add(1, "a", 1, 1);
  EXPECT_EQ(kept(), 1u) << "what was taken still counts";
}

TEST_F(UpdateLogTest, WhatIsBeyondAFullLogIsCountedUntilThereIsRoom) {
  UpdateLog log;
  WriteRequest request;
  request.name_space = "a";
  request.items.push_back(SetOf("k", "v"));
  for (size_t i = 0; i <= UpdateLog::kMaxKeys; ++i) {
    const std::string key = absl::StrCat(i);
    request.items[0].key = key;
    log.Add(1, request, std::vector<WriteResult>(1));
  }
  EXPECT_EQ(log.dropped(), 1u);
  request.items[0].key = "one more";
  request.items.push_back(SetOf("lease", "v"));
  request.items[1].lease = "a lease";
  log.Add(1, request, std::vector<WriteResult>(2));
  EXPECT_EQ(log.dropped(), 2u) << "a fill is no update";
  EXPECT_TRUE(log.Follows(1));
  EXPECT_EQ(log.Take().size(), 1u);
  log.Add(1, request, std::vector<WriteResult>(2));
  EXPECT_EQ(log.dropped(), 2u);
  EXPECT_EQ(log.Take().size(), 1u);
}

}  // namespace
}  // namespace meridian
