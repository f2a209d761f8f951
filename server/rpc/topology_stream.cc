#include "server/rpc/topology_stream.h"

#include <utility>

#include "common/rpc/error.h"
#include "common/rpc/topology_proto.h"

namespace meridian {

// One watcher. Deletes itself when gRPC is done with it.
class TopologyStreams::Stream final
    : public grpc::ServerWriteReactor<cache::v1::WatchTopologyResponse> {
 public:
  Stream(TopologyStreams& streams, uint64_t known_epoch)
      : streams_(streams), sent_epoch_(known_epoch) {}

  // Sends `topology` now or after the write under way, unless it is not newer.
  void Offer(const TopologyHolder::Snapshot& topology) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (topology->epoch() <= sent_epoch_ || finished_) return;
    next_ = topology;
    if (!writing_) WriteNext();
  }

  void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!finished_ && ok && next_ != nullptr) WriteNext();
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    streams_.Remove(this);
    delete this;
  }

 private:
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const TopologyHolder::Snapshot topology = std::exchange(next_, nullptr);
    sent_epoch_ = topology->epoch();
    ToProto(*topology, response_.mutable_topology());
    writing_ = true;
    StartWrite(&response_);
  }

  TopologyStreams& streams_;
  absl::Mutex mu_;
  cache::v1::WatchTopologyResponse response_ ABSL_GUARDED_BY(mu_);  // gRPC's while writing_.
  TopologyHolder::Snapshot next_ ABSL_GUARDED_BY(mu_);
  uint64_t sent_epoch_ ABSL_GUARDED_BY(mu_);
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

TopologyStreams::TopologyStreams(TopologyHolder& holder) : holder_(holder) {
  holder_.AddListener([this](const TopologyHolder::Snapshot&,
                             const TopologyHolder::Snapshot& current) { Publish(current); });
}

grpc::ServerWriteReactor<cache::v1::WatchTopologyResponse>* TopologyStreams::Open(
    uint64_t known_epoch) {
  Stream* stream = new Stream(*this, known_epoch);
  bool refused;
  {
    absl::MutexLock lock(&mu_);
    streams_.insert(stream);
    refused = shutting_down_;
  }
  if (refused) {
    stream->End(MakeError(grpc::StatusCode::UNAVAILABLE, reason::kShuttingDown,
                          "the node is shutting down"));
  } else {
    stream->Offer(holder_.Get());
  }
  return stream;
}

void TopologyStreams::Publish(const TopologyHolder::Snapshot& topology) {
  absl::MutexLock lock(&mu_);
  for (Stream* stream : streams_) stream->Offer(topology);
}

void TopologyStreams::Shutdown() {
  absl::MutexLock lock(&mu_);
  shutting_down_ = true;
  for (Stream* stream : streams_) {
    stream->End(MakeError(grpc::StatusCode::UNAVAILABLE, reason::kShuttingDown,
                          "the node is shutting down"));
  }
}

void TopologyStreams::Remove(Stream* stream) {
  absl::MutexLock lock(&mu_);
  streams_.erase(stream);
}

}  // namespace meridian
