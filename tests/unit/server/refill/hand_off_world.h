// Two nodes that follow their slots' changelogs in one fake store, with a Refill each, joined by
// plain calls: n0 owns everything, n1 is about to get its share. One thread, fake time.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_REFILL_HAND_OFF_WORLD_H_
#define MERIDIAN_TESTS_UNIT_SERVER_REFILL_HAND_OFF_WORLD_H_

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/refill/refill.h"
#include "server/replication/changelog_tail.h"
#include "server/replication/engine_coherence.h"
#include "server/replication/fence_follower.h"
#include "tests/unit/server/node/node_fixture.h"

namespace meridian {

class HandOffWorld : public NodeFixture, public HandOffTransport {
 protected:
  // What server/replication and server/app put around a node.
  struct Around {
    FollowedSlots followed;
    ReplicationObserver observer;
    std::optional<TaskGate> gate;
    std::unique_ptr<Refill> refill;
    std::unique_ptr<EngineCoherence> coherence;
    std::unique_ptr<FenceFollower> fences;
    std::unique_ptr<ChangelogTail> tail;
    std::optional<uint64_t> handed_off;  // What the last plan's hand-off has told.
  };

  void StartBoth(RefillOptions options = {}) {
    options.refill.keys_per_second = 0;  // What is in L1 was handed over, or asked for.
    StartNodes(2);
    for (auto& one : nodes_) SetPolicies(*one, "task: {ttl_jitter: 0}");
    for (int i = 0; i < 2; ++i) {
      Around& one = around_[static_cast<size_t>(i)];
      TestNode& its = node(i);
      its.context().followed = &one.followed;
      one.gate.emplace(executor_);
      one.refill = std::make_unique<Refill>(options, its.context(), *this, executor_,
                                            [](absl::Duration, uint64_t) {});
      one.coherence = std::make_unique<EngineCoherence>(its.engine(), its.versions(), clock_,
                                                        one.observer, &one.followed);
      one.fences = std::make_unique<FenceFollower>(
          FenceFollowerOptions{.node_id = absl::StrCat("n", i)}, store_, *its.context().fences,
          its.topology(), *one.gate, clock_, one.observer);
      one.tail = std::make_unique<ChangelogTail>(
          ChangelogTailOptions{}, store_, *one.gate, clock_, one.observer,
          std::vector<ChangeSink*>{one.coherence.get(), one.refill.get()});
      one.refill->Start();
      one.fences->Start();
      one.tail->Start();
      Publish(i, 2, {"n0"});
    }
    Pass(absl::Milliseconds(100));
  }
  ~HandOffWorld() override {
    for (Around& one : around_) {
      if (one.gate) one.gate->Close();
      if (one.refill != nullptr) one.refill->Stop();
    }
  }

  static void SetPolicies(TestNode& at, const std::string& text) {
    auto policies = std::make_shared<PolicyTable>();
    const absl::Status read = policies->ReadText("p", text);
    ASSERT_TRUE(read.ok()) << read;
    at.context().namespaces.SetPolicies(std::move(policies));
  }
  // The node hears of the epoch.
  void Publish(int i, uint64_t epoch, const std::vector<std::string>& ids) {
    node(i).topology().Offer(TopologyOf(epoch, ids));
    around(i).tail->SetOwned(node(i).topology().Get()->SlotsOf(absl::StrCat("n", i)));
  }
  void Plan(int i, uint64_t epoch, const std::vector<std::string>& ids) {
    around(i).handed_off.reset();
    around(i).refill->Plan(std::make_shared<const Topology>(TopologyOf(epoch, ids)),
                           [this, i](uint64_t taken) { around(i).handed_off = taken; });
  }
  void Pass(absl::Duration duration) { executor_.RunFor(duration); }

  // HandOffTransport: to the node of that number.
  void HandOff(const Member& to, uint64_t epoch, std::vector<HandOffItem> items, absl::Time,
               HandOffDone done) override {
    sent_items_ += items.size();
    if (instead_ != nullptr && instead_(items.size(), done)) return;
    around(to.id == "n0" ? 0 : 1).refill->Take(epoch, std::move(items), std::move(done));
  }

  bool InL1(int i, const std::string& key) {
    Entry entry;
    return node(i).engine().Peek(node(i).KeyOf(key), clock_.Monotonic(), &entry);
  }
  // Keys that n1 owns when both serve.
  std::vector<std::string> MovingKeys(int count) {
    const Topology both = TopologyOf(9, {"n0", "n1"});
    std::vector<std::string> keys;
    for (int n = 0; static_cast<int>(keys.size()) < count; ++n) {
      std::string key = absl::StrCat("key:", n);
      if (both.OwnerOf(SlotOf(kSpace, key))->id == "n1") keys.push_back(std::move(key));
    }
    return keys;
  }
  uint64_t TakenBy(int i, RefillOutcome outcome) {
    return around(i).refill->taken()[static_cast<size_t>(outcome)];
  }
  Around& around(int i) { return around_[static_cast<size_t>(i)]; }

  size_t sent_items_ = 0;
  // What becomes of a message of so many items (0: the question), where it is not plainly carried;
  // true: it does not arrive.
  std::function<bool(size_t items, const HandOffDone& done)> instead_;
  std::array<Around, 2> around_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_REFILL_HAND_OFF_WORLD_H_
