// A small cluster of nodes in one thread: real read and write paths and engines, a fake store, fake
// peers, fake time. Shared by the tests of server/node.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_NODE_NODE_FIXTURE_H_
#define MERIDIAN_TESTS_UNIT_SERVER_NODE_NODE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/node/fence_path.h"
#include "server/node/miss_path.h"
#include "server/node/no_l2.h"
#include "server/node/node_context.h"
#include "server/node/read_path.h"
#include "server/node/record.h"
#include "server/node/write_path.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_executor.h"
#include "tests/support/fake_l2_store.h"
#include "tests/support/fake_peer_transport.h"

namespace meridian {

inline constexpr char kSpace[] = "task";

// One node with everything of its own but the store, the peers and the time.
class TestNode {
 public:
  TestNode(std::string id, const Clock& clock, L2Store& l2, PeerTransport& peers,
           TimerQueue& timers, bool l1_only, PolicyTable policies)
      : versions_(clock, RegionId("us")),
        engine_(*Engine::Create({.capacity_bytes = 64 << 20, .shard_bits = 0})),
        namespaces_(*engine_, std::move(policies)),
        context_{std::move(id), l1_only, absl::Hours(24), clock,     versions_, *engine_,
                 namespaces_,   l2,      peers,           topology_, timers},
        fences_(*engine_, versions_, /*known=*/true),
        misses_(context_),
        reads_(context_, misses_),
        writes_(context_, misses_),
        fence_path_(context_) {
    context_.fences = &fences_;
  }

  NodeContext& context() { return context_; }
  MissPath& misses() { return misses_; }
  ReadPath& reads() { return reads_; }
  WritePath& writes() { return writes_; }
  FencePath& fence_path() { return fence_path_; }
  Engine& engine() { return *engine_; }
  TopologyHolder& topology() { return topology_; }
  HybridClock& versions() { return versions_; }
  EntryKey KeyOf(std::string_view key) {
    const NamespaceId id = *engine_->InternNamespace(kSpace);
    return EntryKey{id, SlotOf(kSpace, key), engine_->HashOf(id, key), key};
  }

 private:
  HybridClock versions_;
  std::unique_ptr<Engine> engine_;
  Namespaces namespaces_;
  TopologyHolder topology_;
  NodeContext context_;
  Fences fences_;
  MissPath misses_;
  ReadPath reads_;
  WritePath writes_;
  FencePath fence_path_;
};

class NodeFixture : public testing::Test {
 protected:
  // Nodes n0, n1, ... that all know each other in epoch 1.
  void StartNodes(int count, bool l1_only = false, PolicyTable policies = {}) {
    for (int i = 0; i < count; ++i) {
      const std::string id = absl::StrCat("n", i);
      L2Store& l2 = l1_only ? static_cast<L2Store&>(no_l2_) : store_;
      nodes_.push_back(
          std::make_unique<TestNode>(id, clock_, l2, peers_, timers_, l1_only, policies));
      peers_.Add(id, {&nodes_[i]->context(), &nodes_[i]->reads(), &nodes_[i]->writes()});
    }
    std::vector<std::string> ids;
    for (int i = 0; i < count; ++i) ids.push_back(absl::StrCat("n", i));
    for (auto& node : nodes_) node->topology().Offer(TopologyOf(1, ids));
  }

  static Topology TopologyOf(uint64_t epoch, const std::vector<std::string>& ids) {
    std::vector<Member> members;
    for (const std::string& id : ids) {
      Member member;
      member.id = id;
      members.push_back(std::move(member));
    }
    return *Topology::Create(epoch, "us", std::move(members));
  }

  TestNode& node(int i) { return *nodes_[static_cast<size_t>(i)]; }

  // A key that node `i` owns in its own topology.
  std::string KeyOwnedBy(int i, int number = 0) {
    for (int n = 0;; ++n) {
      const std::string key = absl::StrCat("key:", n);
      const Member* owner = node(i).topology().Get()->OwnerOf(SlotOf(kSpace, key));
      if (owner != nullptr && owner->id == absl::StrCat("n", i) && number-- == 0) return key;
    }
  }

  // A read that is under way.
  struct Pending {
    std::vector<std::string> keys;
    ReadRequest request;
    std::vector<std::string> shown;  // Empty: not answered.
    std::vector<ReadResult> results;
  };
  std::shared_ptr<Pending> BeginRead(const std::vector<std::string>& keys, ReadOptions options,
                                     int at, absl::Duration timeout) {
    auto pending = std::make_shared<Pending>();
    pending->keys = keys;
    pending->request.name_space = kSpace;
    pending->request.keys.assign(pending->keys.begin(), pending->keys.end());
    pending->request.options = options;
    pending->request.deadline = clock_.Now() + timeout;
    node(at).reads().Read(pending->request, [pending](std::vector<ReadResult> results) {
      for (const ReadResult& result : results) pending->shown.push_back(Show(result));
      pending->results = std::move(results);
    });
    return pending;
  }

  std::vector<ReadResult> Read(TestNode& at, const std::vector<std::string>& keys,
                               ReadOptions options = {}) {
    ReadRequest request;
    request.policies = call_policies_;
    request.name_space = kSpace;
    request.keys.assign(keys.begin(), keys.end());
    request.options = options;
    request.deadline = clock_.Now() + absl::Seconds(1);
    std::optional<std::vector<ReadResult>> answer;
    at.reads().Read(request, [&](std::vector<ReadResult> results) { answer = std::move(results); });
    executor_.RunDue();
    EXPECT_TRUE(answer.has_value()) << "the callback was not called";
    return answer ? *std::move(answer) : std::vector<ReadResult>(keys.size());
  }
  ReadResult ReadOne(TestNode& at, const std::string& key, ReadOptions options = {}) {
    return std::move(Read(at, {key}, options)[0]);
  }

  std::vector<WriteResult> Write(TestNode& at, std::vector<WriteItem> items) {
    WriteRequest request;
    request.policies = call_policies_;
    request.name_space = kSpace;
    request.items = std::move(items);
    request.deadline = clock_.Now() + absl::Seconds(1);
    std::optional<std::vector<WriteResult>> answer;
    at.writes().Write(request,
                      [&](std::vector<WriteResult> results) { answer = std::move(results); });
    executor_.RunDue();
    EXPECT_TRUE(answer.has_value()) << "the callback was not called";
    return answer ? *std::move(answer) : std::vector<WriteResult>(1);
  }
  WriteResult WriteOne(TestNode& at, WriteItem item) {
    std::vector<WriteItem> items;
    items.push_back(std::move(item));
    return std::move(Write(at, std::move(items))[0]);
  }
  static WriteItem SetOf(std::string_view key, std::string_view value,
                         absl::Duration ttl = absl::ZeroDuration()) {
    WriteItem item;
    item.key = key;
    item.value = value;
    item.ttl = ttl;
    return item;
  }
  static WriteItem InvalidateOf(std::string_view key) {
    WriteItem item;
    item.kind = WriteKind::kInvalidate;
    item.key = key;
    return item;
  }
  static WriteItem TouchOf(std::string_view key, absl::Duration ttl) {
    WriteItem item;
    item.kind = WriteKind::kTouch;
    item.key = key;
    item.ttl = ttl;
    return item;
  }

  // "value@tier", "miss" or the error's reason.
  static std::string Show(const ReadResult& result) {
    if (result.state == EntryState::kError) return result.error->reason;
    const char* tier = result.tier == Tier::kL1       ? "L1"
                       : result.tier == Tier::kL2     ? "L2"
                       : result.tier == Tier::kOrigin ? "origin"
                                                      : "";
    if (result.state == EntryState::kMiss) {
      return absl::StrCat("miss", *tier == '\0' ? "" : "@", tier);
    }
    return absl::StrCat(std::string(result.value.view()), "@", tier, result.stale ? " stale" : "");
  }

  const SlotPolicies* call_policies_ = nullptr;  // Of the requests that follow.
  FakeClock clock_;
  FakeExecutor executor_{clock_};
  TimerQueue timers_{clock_, executor_};
  FakeL2Store store_{clock_, executor_};
  NoL2 no_l2_;
  FakePeerTransport peers_;
  std::vector<std::unique_ptr<TestNode>> nodes_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_NODE_NODE_FIXTURE_H_
