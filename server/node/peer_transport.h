// PeerTransport carries batches to the node that owns them, and nothing else.
// server/peer/grpc_peer_transport.h implements it; NoPeers is a cluster of one.
//
// Promise: the callback is called exactly once, by `deadline`, on any thread; a whole-call failure
// is
//   a status, answers are one per key in order. Views in the request must live until then.
// Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_SERVER_NODE_PEER_TRANSPORT_H_
#define MERIDIAN_SERVER_NODE_PEER_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/cluster/topology.h"
#include "server/node/explain_report.h"
#include "server/node/fence.h"
#include "server/node/operations.h"

namespace meridian {

struct PeerReadReply {
  absl::Status status;
  std::vector<ReadResult> results;   // Empty unless status is OK.
  std::optional<Topology> topology;  // The peer's, when it is newer and something was NOT_OWNER.
};

struct PeerWriteReply {
  absl::Status status;
  std::vector<WriteResult> results;
  std::optional<Topology> topology;
};

// Of what every node is asked; see PeerService.Ping and PushFence.
struct PeerAnswer {
  absl::Status status;
  uint64_t hlc = 0;                  // PushFence: where the fence is in force at the peer.
  std::optional<Topology> topology;  // The peer's, when it is newer.
};

struct PeerRead {
  uint64_t epoch = 0;
  std::string_view name_space;
  std::vector<std::string_view> keys;
  ReadOptions options;
  std::string_view request_id;
};

struct PeerWrite {
  uint64_t epoch = 0;
  std::string_view name_space;
  std::vector<const WriteItem*> items;
  std::string_view request_id;
};

class PeerTransport {
 public:
  using ReadReplyCallback = std::function<void(PeerReadReply)>;
  using WriteReplyCallback = std::function<void(PeerWriteReply)>;
  using AnswerCallback = std::function<void(PeerAnswer)>;
  using ExplainReplyCallback = std::function<void(absl::StatusOr<std::vector<TierReport>>)>;
  using ClockCallback = std::function<void(absl::StatusOr<uint64_t>)>;

  virtual ~PeerTransport() = default;
  virtual void Read(const Member& to, const PeerRead& request, absl::Time deadline,
                    ReadReplyCallback callback) = 0;
  virtual void Write(const Member& to, const PeerWrite& request, absl::Time deadline,
                     WriteReplyCallback callback) = 0;
  // What the peer's tiers hold of a key; with kMemory its own memory alone, and no store is asked.
  enum class Tiers : uint8_t { kAll, kMemory };
  virtual void Explain(const Member& to, std::string_view name_space, std::string_view key,
                       Tiers tiers, absl::Time deadline, ExplainReplyCallback callback) = 0;
  // Merges the peer's clock into this node's.
  virtual void Ping(const Member& to, uint64_t epoch, absl::Time deadline,
                    AnswerCallback callback) = 0;
  // OK: the peer serves nothing any more that the fence covers.
  virtual void PushFence(const Member& to, uint64_t epoch, const Fence& fence, absl::Time deadline,
                         AnswerCallback callback) = 0;
  // See Fences::ClockOf, of the peer.
  virtual void GetFence(const Member& to, const Fence& fence, absl::Time deadline,
                        ClockCallback callback) = 0;
};

// There is nobody else: every call fails with kUnavailable.
class NoPeers final : public PeerTransport {
 public:
  void Read(const Member&, const PeerRead&, absl::Time, ReadReplyCallback callback) override {
    callback({absl::UnavailableError("this node has no peers"), {}, std::nullopt});
  }
  void Write(const Member&, const PeerWrite&, absl::Time, WriteReplyCallback callback) override {
    callback({absl::UnavailableError("this node has no peers"), {}, std::nullopt});
  }
  void Explain(const Member&, std::string_view, std::string_view, Tiers, absl::Time,
               ExplainReplyCallback callback) override {
    callback(absl::UnavailableError("this node has no peers"));
  }
  void GetFence(const Member&, const Fence&, absl::Time, ClockCallback callback) override {
    callback(absl::UnavailableError("this node has no peers"));
  }
  void Ping(const Member&, uint64_t, absl::Time, AnswerCallback callback) override {
    callback({absl::UnavailableError("this node has no peers"), 0, std::nullopt});
  }
  void PushFence(const Member&, uint64_t, const Fence&, absl::Time,
                 AnswerCallback callback) override {
    callback({absl::UnavailableError("this node has no peers"), 0, std::nullopt});
  }
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_PEER_TRANSPORT_H_
