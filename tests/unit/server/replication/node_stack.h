// A whole node of a ReplicationWorld, as its clients see it: real read and write paths.

#ifndef MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_NODE_STACK_H_
#define MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_NODE_STACK_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/node/namespaces.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"
#include "tests/unit/server/replication/replication_world.h"

namespace meridian {

// Calls are of the namespace "task". REQUIRES: the world was started, and outlives this.
class NodeStack {
 public:
  NodeStack(ReplicationWorld& world, std::string_view region, size_t index,
            PolicyTable policies = {})
      : world_(world),
        region_(region),
        node_(world.node(region, index)),
        namespaces_(*node_.engine, std::move(policies)),
        store_(*node_.wires[std::string(region)], world.options.staleness.one_in, node_.clock) {
    store_.SetListener(node_.replication->CarriedOutListener());
    context_ = std::unique_ptr<NodeContext>(
        new NodeContext{node_.id, false, absl::Hours(24), node_.clock, *node_.hybrid_clock,
                        *node_.engine, namespaces_, store_, no_peers_, node_.topology, timers_});
    context_->clock_guard = &node_.clock_guard;
    context_->hints = &node_.hints;
    context_->fences = node_.fences.get();
    context_->horizons = &node_.horizons;
    context_->sync = &node_.replication->sync();
    misses_ = std::make_unique<MissPath>(*context_);
    reads_ = std::make_unique<ReadPath>(*context_, *misses_);
    writes_ = std::make_unique<WritePath>(*context_, *misses_);
  }

  // "ok" or the reason of the error.
  std::string Write(WriteKind kind, const std::string& key, const std::string& value = "") {
    auto answer = std::make_shared<std::string>("not answered");  // It may come later.
    Begin(kind, key, value, absl::Seconds(1), [answer](const WriteResult& result) {
      *answer = result.state == EntryState::kError ? result.error->reason : "ok";
    });
    world_.executor.RunFor(absl::Milliseconds(1));
    return *answer;
  }
  // The answer comes when time passes.
  void Begin(WriteKind kind, const std::string& key, const std::string& value,
             absl::Duration timeout, std::function<void(WriteResult)> done) {
    struct Call {
      std::string key;
      std::string value;
      WriteRequest request;
    };
    auto call = std::make_shared<Call>();
    call->key = key;
    call->value = value;
    WriteRequest& request = call->request;
    request.name_space = "task";
    WriteItem item;
    item.kind = kind;
    item.key = call->key;
    item.value = call->value;
    item.ttl = absl::Hours(10);
    request.items.push_back(std::move(item));
    request.deadline = node_.clock.Now() + timeout;
    writes_->Write(request, [call, done = std::move(done)](std::vector<WriteResult> results) {
      done(std::move(results[0]));
    });
  }
  // The value, "miss", the reason of the error, or nothing: not answered within a millisecond.
  std::string Read(const std::string& key) {
    const std::optional<ReadResult> result = ReadResultOf(key);
    if (!result) return "";
    if (result->state == EntryState::kError) return result->error->reason;
    return result->state == EntryState::kOk ? std::string(result->value.view()) : "miss";
  }
  // Which tier has the answer.
  Tier ReadFrom(const std::string& key) {
    const std::optional<ReadResult> result = ReadResultOf(key);
    return result ? result->tier : Tier::kNone;
  }
  L2Store& store() { return store_; }
  ReplicationWorld::Node& node() { return node_; }
  const std::string& region() const { return region_; }

 private:
  std::optional<ReadResult> ReadResultOf(const std::string& key) {
    ReadRequest request;
    request.name_space = "task";
    request.keys = {key};
    request.deadline = node_.clock.Now() + absl::Seconds(1);
    auto answer = std::make_shared<std::optional<ReadResult>>();  // It may come later.
    reads_->Read(request,
                 [answer](std::vector<ReadResult> results) { *answer = std::move(results[0]); });
    world_.executor.RunFor(absl::Milliseconds(1));
    return std::move(*answer);
  }

  ReplicationWorld& world_;
  const std::string region_;
  ReplicationWorld::Node& node_;
  Namespaces namespaces_;
  SampledStore store_;
  NoPeers no_peers_;
  TimerQueue timers_{node_.clock, world_.executor};
  std::unique_ptr<NodeContext> context_;
  std::unique_ptr<MissPath> misses_;
  std::unique_ptr<ReadPath> reads_;
  std::unique_ptr<WritePath> writes_;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_UNIT_SERVER_REPLICATION_NODE_STACK_H_
