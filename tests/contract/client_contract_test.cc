// meridian::Client against real gRPC servers on loopback (FakeNode).

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "client/cpp/client.h"
#include "client/cpp/read_through.h"
#include "tests/contract/client_fake_node.h"

namespace meridian {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

constexpr absl::Duration kPatience = absl::Seconds(10);
// For tests in which a slow machine must not look like a failure.
const CallOptions kUnhurried{kPatience, ""};
const GetOptions kUnhurriedGet{kUnhurried, false, {}, false};

std::vector<std::string> Keys(int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back(absl::StrCat("task:", i));
  return keys;
}

std::vector<std::string_view> Views(const std::vector<std::string>& keys) {
  return {keys.begin(), keys.end()};
}

std::vector<SetItem> Items(const std::vector<std::string>& keys) {
  std::vector<SetItem> items;
  for (const std::string& key : keys) {
    items.push_back(SetItem{.key = key, .value = "value of " + key, .ttl = absl::Minutes(1)});
  }
  return items;
}

// A region of two nodes and a client of it.
class ClientContractTest : public ::testing::Test {
 protected:
  void Publish(uint64_t epoch, const std::vector<const FakeNode*>& nodes) {
    std::vector<Member> members;
    for (const FakeNode* node : nodes) members.push_back(node->member());
    absl::StatusOr<Topology> topology = Topology::Create(epoch, "us", std::move(members));
    ASSERT_TRUE(topology.ok()) << topology.status();
    store_.Publish(*topology);
  }

  // A client that knows only `target`.
  std::unique_ptr<Client> Connect(const FakeNode& target, bool wait = true) {
    absl::StatusOr<std::unique_ptr<Client>> client =
        Client::Create({.targets = {target.address()}});
    EXPECT_TRUE(client.ok()) << client.status();
    if (wait) {
      EXPECT_TRUE((*client)->WaitUntilReady(kPatience).ok());
    }
    return *std::move(client);
  }

  // A key that `node` owns by the published topology.
  std::string KeyOf(const FakeNode& node) {
    absl::StatusOr<Topology> topology = Topology::Create(1, "us", {a_.member(), b_.member()});
    for (int i = 0;; ++i) {
      std::string key = absl::StrCat("owned:", i);
      if (topology->OwnerOf(SlotOf("ns", key))->data_address == node.address()) return key;
    }
  }

  FakeStore store_;
  FakeNode a_{"node-a", store_};
  FakeNode b_{"node-b", store_};
};

TEST_F(ClientContractTest, WhatWasSetIsReadWithItsMetadata) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  SetOptions options;
  options.timeout = kPatience;
  options.ttl = absl::Microseconds(59'999'500);
  const WriteResult set = client->Set("ns", "key", "value", options);
  ASSERT_TRUE(set.ok()) << set.error->message;

  const GetResult got = client->Get("ns", "key", kUnhurriedGet);
  ASSERT_TRUE(got.hit());
  EXPECT_EQ(got.value, "value");
  EXPECT_EQ(got.version, set.version);
  EXPECT_EQ(got.source, ResultSource::kL1);
  EXPECT_EQ(got.ttl, absl::Minutes(1)) << "rounded up to milliseconds";
  EXPECT_EQ(got.age, absl::Milliseconds(7));
  EXPECT_FALSE(got.stale);
  EXPECT_EQ(got.error, nullptr);
}

TEST_F(ClientContractTest, AnEntryThatCannotBeSentFailsAloneAndTheOthersAreStored) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  std::vector<SetItem> items = Items(Keys(50));
  items[0].tags = {"fine", "\xFF"};
  items[7].state_hint = "\xC0\xAF";
  const auto results = client->BatchSet("ns", items, kUnhurried);
  ASSERT_THAT(results, SizeIs(50));
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i].ok(), i != 0 && i != 7) << i;
  EXPECT_EQ(results[0].error->reason, "TAG_INVALID");
  EXPECT_EQ(results[0].error->field, "tags[1]");
  EXPECT_EQ(results[7].error->reason, "FIELD_INVALID");
  const auto keys = Keys(50);
  const auto got = client->BatchGet("ns", Views(keys), kUnhurriedGet);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].value, i == 0 || i == 7 ? "" : "value of " + keys[i]);
  }
  EXPECT_EQ(client->BatchSet("ns", {items[0]}, kUnhurried)[0].error->reason, "TAG_INVALID");
  for (const auto& result : client->BatchGet("No Space", Views(keys), kUnhurriedGet)) {
    ASSERT_EQ(result.status, ResultStatus::kError);
    EXPECT_EQ(result.error->code, absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(result.error->reason, "NAMESPACE_INVALID");
  }
}

TEST_F(ClientContractTest, InvalidateTouchAndMissAreAnswersNotErrors) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  EXPECT_EQ(client->Get("ns", "key", kUnhurriedGet).status, ResultStatus::kMiss);
  EXPECT_EQ(client->Touch("ns", "key", absl::Minutes(1), kUnhurried).status, ResultStatus::kMiss);
  SetOptions options;
  options.timeout = kPatience;
  const Version first = client->Set("ns", "key", "value", options).version;
  EXPECT_EQ(client->Touch("ns", "key", absl::Minutes(9), kUnhurried).status, ResultStatus::kOk);
  EXPECT_EQ(client->Get("ns", "key", kUnhurriedGet).ttl, absl::Minutes(9));
  const WriteResult gone = client->Invalidate("ns", "key", kUnhurried);
  EXPECT_TRUE(gone.ok());
  EXPECT_GT(gone.version, first);
  EXPECT_EQ(client->Get("ns", "key", kUnhurriedGet).status, ResultStatus::kMiss);
}

TEST_F(ClientContractTest, ConditionsThatDoNotHoldAreConflictsWithTheStoredVersion) {
  Publish(1, {&a_});
  const auto client = Connect(a_);
  SetOptions absent;
  absent.timeout = kPatience;
  absent.if_absent = true;
  const WriteResult first = client->Set("ns", "key", "one", absent);
  ASSERT_TRUE(first.ok());
  const WriteResult second = client->Set("ns", "key", "two", absent);
  EXPECT_EQ(second.status, ResultStatus::kConflict);
  EXPECT_EQ(second.version, first.version);
  SetOptions expect;
  expect.timeout = kPatience;
  expect.expected_version = first.version;
  EXPECT_TRUE(client->Set("ns", "key", "three", expect).ok());
  EXPECT_EQ(client->Set("ns", "key", "four", expect).status, ResultStatus::kConflict);
}

TEST_F(ClientContractTest, KeysGoToTheirOwnersAndAnswersComeInOrder) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  const std::vector<std::string> keys = Keys(300);
  for (const WriteResult& result : client->BatchSet("ns", Items(keys), kUnhurried)) {
    ASSERT_TRUE(result.ok());
  }
  std::vector<std::string> wanted = keys;
  wanted.insert(wanted.begin() + 100, "nobody has this");
  wanted.push_back(keys[0]);
  const std::vector<GetResult> got = client->BatchGet("ns", Views(wanted), kUnhurriedGet);
  ASSERT_THAT(got, SizeIs(wanted.size()));
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i == 100) {
      EXPECT_EQ(got[i].status, ResultStatus::kMiss);
    } else {
      EXPECT_EQ(got[i].value, "value of " + wanted[i]);
    }
  }
  const absl::StatusOr<Topology> topology = Topology::Create(1, "us", {a_.member(), b_.member()});
  for (const FakeNode* node : {&a_, &b_}) {
    EXPECT_THAT(node->batch_sizes(), SizeIs(2)) << "one BatchSet and one BatchGet each";
    for (const std::string& key : node->keys()) {
      EXPECT_EQ(topology->OwnerOf(SlotOf("ns", key))->data_address, node->address());
    }
  }
}

TEST_F(ClientContractTest, ABatchLargerThanANodeTakesIsCutAndMerged) {
  Publish(1, {&a_});
  const auto client = Connect(a_);
  const std::vector<std::string> keys = Keys(2500);
  client->BatchSet("ns", Items(keys), kUnhurried);
  EXPECT_THAT(a_.batch_sizes(), ::testing::UnorderedElementsAre(1000, 1000, 500));
  const std::vector<GetResult> got = client->BatchGet("ns", Views(keys), kUnhurriedGet);
  ASSERT_THAT(got, SizeIs(2500));
  for (size_t i = 0; i < keys.size(); ++i) EXPECT_EQ(got[i].value, "value of " + keys[i]);
  const std::vector<WriteResult> gone = client->BatchInvalidate("ns", Views(keys), kUnhurried);
  ASSERT_THAT(gone, SizeIs(2500));
  EXPECT_EQ(client->Get("ns", keys[1700], kUnhurriedGet).status, ResultStatus::kMiss);
}

TEST_F(ClientContractTest, AnEmptyBatchIsAnsweredWithNothing) {
  const auto client = Connect(a_, /*wait=*/false);
  EXPECT_THAT(client->BatchGet("ns", {}), IsEmpty());
  EXPECT_THAT(client->BatchSet("ns", {}), IsEmpty());
}

TEST_F(ClientContractTest, WithoutATopologyAnyTargetAnswersEverything) {
  const auto client = Connect(a_, /*wait=*/false);
  const std::vector<std::string> keys = Keys(50);
  client->BatchSet("ns", Items(keys), kUnhurried);
  EXPECT_EQ(client->BatchGet("ns", Views(keys), kUnhurriedGet)[49].value, "value of task:49");
  EXPECT_THAT(a_.batch_sizes(), ElementsAre(50, 50));
  EXPECT_EQ(a_.last_header().epoch(), 0u);
  EXPECT_FALSE(client->WaitUntilReady(absl::ZeroDuration()).ok());
}

TEST_F(ClientContractTest, OneEntryThatFailsDoesNotTouchTheOthers) {
  Publish(1, {&a_});
  const auto client = Connect(a_);
  const std::vector<WriteResult> results =
      client->BatchSet("ns", Items({"good", "", "also good"}), kUnhurried);
  EXPECT_TRUE(results[0].ok());
  EXPECT_TRUE(results[2].ok());
  ASSERT_EQ(results[1].status, ResultStatus::kError);
  EXPECT_EQ(results[1].error->reason, "KEY_EMPTY");
  EXPECT_EQ(results[1].error->code, absl::StatusCode::kInvalidArgument);
}

TEST_F(ClientContractTest, EveryCallCarriesEpochRequestIdAndDeadline) {
  Publish(7, {&a_});
  const auto client = Connect(a_);
  client->Get("ns", "key");
  EXPECT_EQ(a_.last_header().epoch(), 7u);
  const std::string first = a_.last_header().request_id();
  EXPECT_THAT(a_.last_timeout(), Le(absl::Milliseconds(300)));
  client->Set("ns", "key", "value");
  EXPECT_THAT(a_.last_timeout(), Le(absl::Milliseconds(550)));
  EXPECT_NE(a_.last_header().request_id(), first);
  EXPECT_FALSE(first.empty());
  GetOptions options = kUnhurriedGet;
  options.request_id = "mine";
  client->Get("ns", "key", options);
  EXPECT_EQ(a_.last_header().request_id(), "mine");
  EXPECT_THAT(a_.last_timeout(), AllOf(Ge(absl::Seconds(5)), Le(kPatience * 1.1)));
}

TEST_F(ClientContractTest, ACallThatHangsEndsAtItsDeadline) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  a_.set_fault(FakeFault::kHang);
  const absl::Time start = absl::Now();
  const GetResult got = client->Get("ns", KeyOf(a_));
  EXPECT_EQ(got.status, ResultStatus::kError);
  EXPECT_EQ(got.error->code, absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(240));
  EXPECT_THAT(b_.keys(), IsEmpty()) << "no time was left for another node";
}

TEST_F(ClientContractTest, AnOwnerThatIsGoneIsReplacedByAnotherNode) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  const std::string key = KeyOf(b_);
  SetOptions options;
  options.timeout = kPatience;
  ASSERT_TRUE(client->Set("ns", key, "value", options).ok());
  b_.Stop();
  const GetResult got = client->Get("ns", key, kUnhurriedGet);
  ASSERT_TRUE(got.hit()) << got.error->message;
  EXPECT_EQ(got.value, "value");
  EXPECT_THAT(a_.keys(), Contains(key));
  const std::vector<std::string> keys = Keys(100);
  for (const WriteResult& result : client->BatchSet("ns", Items(keys), kUnhurried)) {
    ASSERT_TRUE(result.ok()) << result.error->message;
  }
  // Also a conditional write: it never left the client.
  options.if_absent = true;
  const WriteResult conflict = client->Set("ns", key, "other", options);
  EXPECT_EQ(conflict.status, ResultStatus::kConflict);
}

TEST_F(ClientContractTest, ANodeThatRefusesIsReplacedAlsoForConditionalWrites) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  b_.set_fault(FakeFault::kRefuse);
  SetOptions options;
  options.timeout = kPatience;
  options.if_absent = true;
  EXPECT_TRUE(client->Set("ns", KeyOf(b_), "value", options).ok());
  EXPECT_EQ(store_.writes(), 1u);
  a_.set_fault(FakeFault::kRefuse);
  const GetResult got = client->Get("ns", KeyOf(b_), kUnhurriedGet);
  ASSERT_EQ(got.status, ResultStatus::kError);
  EXPECT_EQ(got.error->reason, "SHUTTING_DOWN");
  EXPECT_THAT(got.error->message, HasSubstr(a_.address()));
}

TEST_F(ClientContractTest, AConditionalWriteThatMayHaveHappenedIsNotRepeated) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  b_.set_fault(FakeFault::kRunThenBreak);
  SetOptions options;
  options.timeout = kPatience;
  options.if_absent = true;
  const WriteResult result = client->Set("ns", KeyOf(b_), "value", options);
  ASSERT_EQ(result.status, ResultStatus::kError);
  EXPECT_EQ(result.error->reason, "OUTCOME_UNKNOWN");
  EXPECT_EQ(store_.writes(), 1u);
  EXPECT_THAT(a_.keys(), IsEmpty());
  // A plain write is repeated: last writer wins.
  options.if_absent = false;
  EXPECT_TRUE(client->Set("ns", KeyOf(b_), "value", options).ok());
  EXPECT_THAT(a_.keys(), ElementsAre(KeyOf(b_)));
}

TEST_F(ClientContractTest, OnlyThePartOfTheFailingOwnerFails) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  const std::vector<std::string> keys = {KeyOf(a_), KeyOf(b_)};
  client->BatchSet("ns", Items(keys), kUnhurried);
  b_.set_fault(FakeFault::kOneEntryTooFew);
  const std::vector<GetResult> got = client->BatchGet("ns", Views(keys), kUnhurriedGet);
  EXPECT_TRUE(got[0].hit());
  ASSERT_EQ(got[1].status, ResultStatus::kError);
  EXPECT_EQ(got[1].error->reason, "MALFORMED_RESPONSE");
}

TEST_F(ClientContractTest, ANewTopologyIsFollowed) {
  Publish(1, {&a_});
  const auto client = Connect(a_);
  Publish(2, {&a_, &b_});
  const std::string key = KeyOf(b_);
  const absl::Time give_up = absl::Now() + kPatience;
  while (b_.keys().empty() && absl::Now() < give_up) client->Get("ns", key, kUnhurriedGet);
  EXPECT_THAT(b_.keys(), Contains(key));
  EXPECT_EQ(b_.last_header().epoch(), 2u);
}

TEST_F(ClientContractTest, TheWatchSurvivesTheNodeThatServedIt) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  a_.Stop();
  Publish(2, {&b_});
  const absl::Time give_up = absl::Now() + kPatience;
  while (b_.last_header().epoch() != 2 && absl::Now() < give_up) {
    client->Get("ns", "key", kUnhurriedGet);
  }
  EXPECT_EQ(b_.last_header().epoch(), 2u);
}

TEST_F(ClientContractTest, CallbacksOfManyConcurrentCallsAllRunBeforeTheClientEnds) {
  Publish(1, {&a_, &b_});
  auto client = Connect(a_);
  std::atomic<int> hits{0};
  std::atomic<int> ended{0};
  for (int i = 0; i < 500; ++i) {
    const std::string key = absl::StrCat("async:", i);
    SetOptions options;
    options.timeout = kPatience;
    client->Set("ns", key, "value", options, [&, key, raw = client.get()](WriteResult result) {
      ASSERT_TRUE(result.ok());
      raw->Get("ns", key, kUnhurriedGet, [&](GetResult got) {
        hits += got.hit() ? 1 : 0;
        ++ended;
      });
    });
  }
  while (ended < 500) absl::SleepFor(absl::Milliseconds(1));
  client->Get("ns", "async:1", kUnhurriedGet, [&](GetResult) { ++ended; });
  client.reset();
  EXPECT_EQ(hits, 500);
  EXPECT_EQ(ended, 501);
}

TEST(ClientOptionsTest, BadOptionsAreRefusedWithTheFieldAndTheRule) {
  EXPECT_THAT(std::string(Client::Create({}).status().message()), HasSubstr("targets"));
  for (const char* target : {"", "host", "host:", ":7400", "host:port"}) {
    const absl::Status status = Client::Create({.targets = {target}}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << target;
  }
  ClientOptions options{.targets = {"127.0.0.1:1"}, .get_timeout = absl::ZeroDuration()};
  EXPECT_THAT(std::string(options.Validate().message()), HasSubstr("get_timeout"));
}

// What it waits for would be held while another is waited for.
TEST_F(ClientContractTest, OfSeveralNodesTheFreeLeasesAreTakenWithoutWaiting) {
  Publish(1, {&a_, &b_});
  const std::unique_ptr<Client> client = Connect(a_);
  const std::string keys[] = {KeyOf(a_), KeyOf(b_)};
  const std::string_view views[] = {keys[0], keys[1]};
  a_.HoldLease(keys[0], "va");
  GetOptions options = kUnhurriedGet;
  options.want_lease = true;
  const std::vector<GetResult> results = client->BatchGet("ns", views, options);
  EXPECT_TRUE(results[0].lease_taken);
  EXPECT_EQ(results[1].lease, "lease of " + keys[1]);
  EXPECT_THAT(a_.lease_waits(), ElementsAre(0));
  EXPECT_THAT(b_.lease_waits(), ElementsAre(0));
  const std::vector<GetResult> one = client->BatchGet("ns", {views, 1}, options);
  EXPECT_EQ(one[0].value, "va");
  EXPECT_THAT(a_.lease_waits(), ElementsAre(0, -1))
      << "of one node, it is the node's to keep to it";
}

TEST_F(ClientContractTest, WhoIsGivenNoLeaseWaitsAtOneNodeAtATime) {
  Publish(1, {&a_, &b_});
  const std::unique_ptr<Client> client = Connect(a_);
  const std::string keys[] = {KeyOf(a_), KeyOf(b_)};
  const std::string_view views[] = {keys[0], keys[1]};
  a_.HoldLease(keys[0], "va");
  b_.HoldLease(keys[1], "vb");
  GetOptions options = kUnhurriedGet;
  options.want_lease = true;
  options.lease_wait = absl::Seconds(4);
  const std::vector<GetResult> results = client->BatchGet("ns", views, options);
  EXPECT_EQ(results[0].value, "va");
  EXPECT_EQ(results[1].value, "vb");
  EXPECT_THAT(a_.lease_waits(), ElementsAre(0, AllOf(Ge(1), Le(4000))));
  EXPECT_THAT(b_.lease_waits(), ElementsAre(0, AllOf(Ge(1), Le(4000))));
  EXPECT_LE(std::min(a_.lease_waits()[1], b_.lease_waits()[1]), 2000) << "a share of the time";
}

TEST_F(ClientContractTest, ANodeThatDoesNotWaitIsNotAskedAgainAndAgain) {
  Publish(1, {&a_, &b_});
  const std::unique_ptr<Client> client = Connect(a_);
  const std::string keys[] = {KeyOf(a_), KeyOf(b_)};
  const std::string_view views[] = {keys[0], keys[1]};
  a_.HoldLease(keys[0], "");
  b_.HoldLease(keys[1], "");
  GetOptions options = kUnhurriedGet;
  options.want_lease = true;
  const std::vector<GetResult> results = client->BatchGet("ns", views, options);
  EXPECT_TRUE(results[0].lease_taken);
  EXPECT_TRUE(results[1].lease_taken);
  EXPECT_EQ(a_.lease_waits().size() + b_.lease_waits().size(), 3u);
}

// A defect once: it asked as fast as it could until its patience was over, and in the last 20 ms of
// it of nodes that wait, too.
TEST_F(ClientContractTest, ReadThroughAsksSeldomWhereNobodyWaits) {
  Publish(1, {&a_, &b_});
  const auto client = Connect(a_);
  const std::string key = KeyOf(a_);
  a_.HoldLease(key, "");
  const std::vector<std::string_view> keys = {key};
  size_t asked = 0;
  for (const auto& [patience, most] : std::vector<std::pair<absl::Duration, size_t>>{
           {absl::Milliseconds(15), 5}, {absl::Milliseconds(400), 20}}) {
    const absl::Time began = absl::Now();
    const auto values = ReadThrough(*client, "ns", keys,
                                    [](std::span<const std::string_view>) {
                                      return std::vector<std::optional<std::string>>{"computed"};
                                    },
                                    {.patience = patience});
    EXPECT_THAT(values, ElementsAre(std::optional<std::string>("computed")));
    EXPECT_GE(absl::Now() - began, patience);
    EXPECT_LE(a_.lease_waits().size() - asked, most);
    asked = a_.lease_waits().size();
  }
}

}  // namespace
}  // namespace meridian
