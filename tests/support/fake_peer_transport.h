// FakePeerTransport connects several nodes of one test by plain calls: what one node forwards, the
// other node's paths answer, or an error that the test chose.
//
// Thread safety: none; a test drives everything from one thread.

#ifndef MERIDIAN_TESTS_SUPPORT_FAKE_PEER_TRANSPORT_H_
#define MERIDIAN_TESTS_SUPPORT_FAKE_PEER_TRANSPORT_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/node/explain.h"
#include "server/node/node_context.h"
#include "server/node/peer_transport.h"
#include "server/node/read_path.h"
#include "server/node/write_path.h"

namespace meridian {

class FakePeerTransport final : public PeerTransport {
 public:
  struct Node {
    const NodeContext* context;
    ReadPath* reads;
    WritePath* writes;
  };

  void Add(const std::string& id, Node node) { nodes_[id] = node; }
  // Every call to the node fails with `status`; OK: works again.
  void Fail(const std::string& id, absl::Status status) { failures_[id] = std::move(status); }
  // The same, and its reads that are under way fail now: what it does for them is nobody's.
  void Die(const std::string& id, const absl::Status& status) {
    Fail(id, status);
    EndReads(id, status);
  }
  // Its reads that are under way time out; it goes on with them, and works.
  void TimeOut(const std::string& id) { EndReads(id, absl::DeadlineExceededError("too late")); }
  void EndReads(const std::string& id, const absl::Status& status) {
    for (const std::shared_ptr<ReadReplyCallback>& open : std::exchange(open_[id], {})) {
      if (*open != nullptr) std::exchange(*open, nullptr)({status, {}, std::nullopt});
    }
  }
  // Whose clock learns from pings.
  void SetAsker(const NodeContext* asker) { asker_ = asker; }
  int calls() const { return calls_; }

  void Read(const Member& to, const PeerRead& read, absl::Time deadline,
            ReadReplyCallback callback) override {
    ++calls_;
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) {
      callback({failure, {}, std::nullopt});
      return;
    }
    auto request = std::make_shared<ReadRequest>();
    request->name_space = read.name_space;
    request->keys = read.keys;
    request->options = read.options;
    request->deadline = deadline;
    request->caller = Caller::kPeer;
    const Node& node = nodes_.at(to.id);
    const auto open = std::make_shared<ReadReplyCallback>(std::move(callback));
    open_[to.id].push_back(open);
    node.reads->Read(*request, [request, read_epoch = read.epoch, context = node.context,
                                open](std::vector<ReadResult> results) {
      if (*open == nullptr) return;
      std::exchange(
          *open, nullptr)({absl::OkStatus(), std::move(results), NewerThan(read_epoch, *context)});
    });
  }

  void Write(const Member& to, const PeerWrite& write, absl::Time deadline,
             WriteReplyCallback callback) override {
    ++calls_;
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) {
      callback({failure, {}, std::nullopt});
      return;
    }
    auto request = std::make_shared<WriteRequest>();
    request->name_space = write.name_space;
    for (const WriteItem* item : write.items) request->items.push_back(*item);
    request->deadline = deadline;
    request->caller = Caller::kPeer;
    const Node& node = nodes_.at(to.id);
    node.writes->Write(*request, [request, write_epoch = write.epoch, context = node.context,
                                  callback](std::vector<WriteResult> results) {
      callback({absl::OkStatus(), std::move(results), NewerThan(write_epoch, *context)});
    });
  }

  void Explain(const Member& to, std::string_view name_space, std::string_view key, Tiers tiers,
               absl::Time deadline, ExplainReplyCallback callback) override {
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) return callback(failure);
    const auto explainer = std::make_shared<Explainer>(*nodes_.at(to.id).context);
    if (tiers == Tiers::kMemory) return callback(explainer->InMemory(name_space, key));
    explainer->Explain(
        name_space, key, deadline,
        [explainer, callback](std::vector<TierReport> reports) { callback(std::move(reports)); });
  }

  void GetFence(const Member& to, const Fence& fence, absl::Time, ClockCallback callback) override {
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) return callback(failure);
    callback(nodes_.at(to.id).context->fences->ClockOf(fence));
  }

  void Ping(const Member& to, uint64_t epoch, absl::Time, AnswerCallback callback) override {
    PeerAnswer answer;
    answer.status = FailureOf(to.id);
    if (answer.status.ok()) {
      const NodeContext& context = *nodes_.at(to.id).context;
      if (asker_ != nullptr) answer.status = asker_->versions.Merge(context.versions.last());
      answer.topology = NewerThan(epoch, context);
      if (after_ping_) after_ping_(to.id);
    }
    callback(std::move(answer));
  }

  void PushFence(const Member& to, uint64_t epoch, const Fence& fence, absl::Time,
                 AnswerCallback callback) override {
    PeerAnswer answer;
    answer.status = FailureOf(to.id);
    if (answer.status.ok()) {
      const NodeContext& context = *nodes_.at(to.id).context;
      const absl::StatusOr<uint64_t> learned = context.fences->LearnPushed(fence);
      answer.status = learned.status();
      if (learned.ok()) answer.hlc = *learned;
      answer.topology = NewerThan(epoch, context);
    }
    callback(std::move(answer));
  }

  // Runs when a node has told its clock.
  void AfterPing(std::function<void(const std::string& node)> then) {
    after_ping_ = std::move(then);
  }

 private:
  absl::Status FailureOf(const std::string& id) const {
    const auto it = failures_.find(id);
    return it == failures_.end() ? absl::OkStatus() : it->second;
  }
  static std::optional<Topology> NewerThan(uint64_t epoch, const NodeContext& context) {
    const TopologyHolder::Snapshot topology = context.topology.Get();
    if (topology->epoch() <= epoch) return std::nullopt;
    return *topology;
  }

  std::map<std::string, Node> nodes_;
  std::map<std::string, absl::Status> failures_;
  std::map<std::string, std::vector<std::shared_ptr<ReadReplyCallback>>> open_;  // Or answered.
  const NodeContext* asker_ = nullptr;
  std::function<void(const std::string&)> after_ping_;
  int calls_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_PEER_TRANSPORT_H_
