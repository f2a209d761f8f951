// WriteCall is one request of WritePath on its way: it sends each item to where it belongs and
// answers when the last part has come back.
//
// Its parts have files of their own: write_call.cc writes to the regional store and to L1,
// write_lease.cc judges leases, write_routing.cc goes to owners, and around them.
// Thread safety: Start is called once; what comes back may come on any thread.

#ifndef MERIDIAN_SERVER_NODE_WRITE_CALL_H_
#define MERIDIAN_SERVER_NODE_WRITE_CALL_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/hash.h"
#include "server/node/l1_writer.h"
#include "server/node/l2_store.h"
#include "server/node/lease_token.h"
#include "server/node/miss_path.h"
#include "server/node/node_context.h"
#include "server/node/operations.h"
#include "server/node/peer_transport.h"
#include "server/node/record.h"
#include "server/node/routing.h"
#include "server/node/value_codec.h"

namespace meridian {

// Lives until its last part has come back.
class WriteCall : public std::enable_shared_from_this<WriteCall> {
 public:
  WriteCall(const NodeContext& context, MissPath& misses, L1Writer& l1_writer,
            const WriteRequest& request, const Namespace& name_space, WriteCallback callback)
      : context_(context),
        misses_(misses),
        l1_writer_(l1_writer),
        request_(request),
        name_space_(name_space),
        policies_(request.policies == nullptr ? name_space.policies() : *request.policies),
        topology_(context.topology.Get()),
        results_(request.items.size()),
        stored_(request.items.size()),
        lives_(request.items.size()),
        looked_(std::any_of(request.items.begin(), request.items.end(), IsJudged)
                    ? request.items.size()
                    : 0),
        closed_(std::any_of(request.items.begin(), request.items.end(), Depends)
                    ? request.items.size()
                    : 0),
        doubts_(closed_.size()),
        regions_(policies_.base().replication == ReplicationMode::kSync ? request.items.size() : 0),
        callback_(std::move(callback)) {}

  void Start();

 private:
  // Whose L1 is to follow a write to the regional store.
  enum class Home : bool { kHere, kElsewhere };

  // A write on its way to the regional store.
  struct Sent {
    uint32_t index;
    Version version;
    EntryKey key;
    FillToken token;  // What L1 had seen of the key when the write was sent.
  };

  absl::Time LowerDeadline() const { return request_.deadline - kReplyMargin; }
  EntryKey EngineKey(std::string_view key) const;
  static bool Depends(const WriteItem& item) { return !item.depends_on.empty(); }
  // The item as it is to be written: with the tags of what it depends on, when they are known.
  const WriteItem& Item(uint32_t index) const {
    return index < closed_.size() && closed_[index] ? *closed_[index] : request_.items[index];
  }
  // Finds out the tags of what the items depend on, then goes on. False: there is nothing to find.
  bool CloseFirst(const std::vector<uint32_t>& indexes, std::function<void()> then);
  // Once for each item that has one. False: it is none of this region's; the item's result says so.
  bool ReadLease(uint32_t index);
  const NamespacePolicy& PolicyOf(std::string_view key) const {
    return policies_.HasTrial() ? policies_.Of(SlotOf(name_space_.name, key)) : policies_.base();
  }
  // nullptr: the item has none.
  const LeaseToken* LeaseOf(uint32_t index) const {
    return leases_.empty() || !leases_[index] ? nullptr : &*leases_[index];
  }
  // Takes out the items whose lease is over, or void by a fence; their results say so.
  void RefuseLostLeases(std::vector<uint32_t>* indexes, Home home);
  bool HoldsLease(uint32_t index, Home home);
  static void LoseLease(const char* reason, std::string message, WriteResult* result);
  void LoseLeaseToNewer(const EntryKey& key, Home home, Version lease, WriteResult* result);
  // Takes out the items that give their lease back, or that say that there is nothing when that is
  // neither remembered nor removes anything: their leases end, and that is all.
  void EndLeases(std::vector<uint32_t>* indexes, Home home, LeaseUse use);
  // What becomes of the key. An absence that is not remembered removes what is there.
  RecordKind KindOf(const WriteItem& item) const;
  // The life of what is written.
  absl::Duration LifeFor(const WriteItem& item, const EntryKey& key, Version version) const;
  // Without a store, L1 alone knows what came since the lease was given.
  void FillInL1(uint32_t index, const LeaseToken& lease);
  // Of a key of ours that was written just now.
  void TellWaiters(uint32_t index, const EntryKey& key, Version version);
  void WriteHere(std::vector<uint32_t> indexes);
  // Writes to the regional store, in order, each with a version of its own.
  void ApplyToL2(std::vector<uint32_t> indexes, Home home, int attempt);
  // Whether some of the items is judged by what is stored, and that may be dead by a fence of one
  // of its tags, which only its record tells.
  bool HangOnTags(const std::vector<uint32_t>& indexes) const;
  bool AnyJudged(const std::vector<uint32_t>& indexes) const;
  // What is stored may be dead by a fence that this node has not read yet.
  void RefuseJudged(std::vector<uint32_t>* indexes);
  static bool IsJudged(const WriteItem& item) {
    return item.conditional() || item.kind == WriteKind::kTouch;
  }
  // Reads what is stored under the keys of such items, then sends all of them.
  void LookAtTags(std::vector<uint32_t> indexes, Home home, int attempt);
  // False: the item has failed.
  bool TakeTags(uint32_t index, const L2Record& stored);
  void SendToL2(std::vector<uint32_t> indexes, Home home, int attempt);
  // Of namespaces that replicate synchronously; the links of keys of others are elsewhere.
  std::shared_ptr<SyncReplication::Batch> ExpectRegions(const std::vector<Sent>& sent, Home home);
  void AwaitRegions(const std::shared_ptr<SyncReplication::Batch>& expected,
                    const std::vector<Sent>& sent, const std::vector<L2WriteResult>& outcomes);
  // The item's value as it is stored: encoded once, by the node that carries the write out. Of one
  // item there is one attempt at a time, so that nobody else writes its element.
  const StoredValue& Stored(uint32_t index);
  std::vector<L2Write> MakeWrites(const std::vector<uint32_t>& indexes);
  L2Write MakeWrite(uint32_t index, absl::Time now, Version version);
  void TakeOutcomes(const std::vector<Sent>& sent, const std::vector<L2WriteResult>& outcomes,
                    Home home, int attempt);
  // Fills the item's result. False: the item is to be tried again with a newer version.
  bool TakeOutcome(const Sent& sent, const L2WriteResult& outcome, Home home, int attempt);
  // Whether the write is accepted without the regional store. A condition cannot be judged here,
  // and a touch is of a value that only the store has.
  bool MayWait(const WriteItem& item, const absl::Status& why) const;
  // The store had the write already, perhaps with another value: nobody keeps or waits for anything
  // older, and who wants it reads it.
  void FollowStored(const Sent& sent);
  // Nobody keeps what the write may have replaced.
  void GiveUp(const Sent& sent);
  void KeepHint(const WriteItem& item, const Sent& sent, WriteResult* result);
  void UpdateL1(const WriteItem& item, const Sent& sent);
  void PutOrErase(const WriteItem& item, const Sent& sent);
  void Forward(const TopologyHolder::Snapshot& topology, OwnerGroup group, bool first);
  void TakeReply(const Topology& used, OwnerGroup group, PeerWriteReply reply, bool first);
  // Sends items once more, by a newer topology. They were not carried out.
  void Reroute(const TopologyHolder::Snapshot& newer, std::vector<uint32_t> indexes);
  // Reroutes after kOwnerChanging: without Redis there is no way around an owner that changes.
  void SendLater(std::vector<uint32_t> indexes);
  // Writes to the regional store without the owner. `unsent`: nobody carried the items out.
  void GoAround(std::vector<uint32_t> indexes, const char* why, const std::string& message,
                bool unsent);
  void WriteAround(std::vector<uint32_t> indexes);
  // Counts what was carried out here.
  void CountWrite(const WriteItem& item) const;
  void Done();

  const NodeContext& context_;
  MissPath& misses_;
  L1Writer& l1_writer_;
  const WriteRequest& request_;
  const Namespace& name_space_;
  const SlotPolicies policies_;  // For the whole request: L1 and L2 get the same expiry.
  const TopologyHolder::Snapshot topology_;
  // Parts write disjoint elements; the last Done() synchronises with all of them.
  std::vector<WriteResult> results_;
  std::vector<std::optional<StoredValue>> stored_;
  std::vector<absl::Duration> lives_;              // Of the last attempt.
  std::vector<std::optional<LeaseToken>> leases_;  // Empty unless some item has one.
  // What was stored under the keys of judged items; empty unless there are any.
  struct Looked {
    uint64_t written = 0;  // The clock that fences are compared with; 0: nothing is there.
    std::string tags;
  };
  std::vector<Looked> looked_;
  // Items with all their tags; empty unless one of them depends on something.
  std::vector<std::optional<WriteItem>> closed_;
  // What of an item's dependencies is not among its tags; as ClosedTags.
  struct Doubts {
    bool cut = false;
    bool unknown = false;
  };
  std::vector<Doubts> doubts_;
  // That have an item, by the owner's word; empty unless the namespace replicates synchronously.
  std::vector<std::vector<std::string>> regions_;
  WriteCallback callback_;
  std::atomic<int> pending_{0};
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_NODE_WRITE_CALL_H_
