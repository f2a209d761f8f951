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
    node.reads->Read(*request, [request, read_epoch = read.epoch, context = node.context,
                                callback](std::vector<ReadResult> results) {
      callback({absl::OkStatus(), std::move(results), NewerThan(read_epoch, *context)});
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

  void Explain(const Member&, std::string_view, std::string_view, absl::Time,
               ExplainReplyCallback callback) override {
    callback(absl::UnimplementedError("the fake explains nothing"));
  }

  void Ping(const Member& to, uint64_t, absl::Time, DoneCallback callback) override {
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) return callback(failure);
    callback(asker_ == nullptr
                 ? absl::OkStatus()
                 : asker_->versions.Merge(nodes_.at(to.id).context->versions.last()));
  }

  void PushFence(const Member& to, uint64_t, const Fence& fence, absl::Time,
                 DoneCallback callback) override {
    if (const absl::Status failure = FailureOf(to.id); !failure.ok()) return callback(failure);
    callback(nodes_.at(to.id).context->fences->Learn(fence));
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
  const NodeContext* asker_ = nullptr;
  int calls_ = 0;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAKE_PEER_TRANSPORT_H_
