#include "server/rpc/watch_streams.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/error.h"
#include "common/rpc/failed_reactors.h"
#include "meridian/cache/v1/cache_service.pb.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

grpc::Status FieldInvalid(std::string message) {
  Error error{grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, std::move(message), {}};
  error.details.field = "slots";
  return ToGrpcStatus(error);
}

bool Parse(const grpc::ByteBuffer& bytes, cache::v1::WatchRequest* request) {
  grpc::Slice slice;
  if (!bytes.TrySingleSlice(&slice).ok() && !bytes.DumpToSingleSlice(&slice).ok()) return false;
  return request->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
}

}  // namespace

// One follower. Deletes itself when gRPC is done with it.
class WatchStreams::Stream final : public Reactor {
 public:
  Stream(WatchStreams& streams, const cache::v1::WatchRequest& request, const SlotSet& slots,
         std::string header)
      : streams_(streams),
        header_(std::move(header)),
        reader_(streams.hub_.Open(slots, request.resume_after(), request.incarnation())) {}

  // Sends what there is, unless a message is under way: then that goes on with it.
  void Pump(bool alive) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (!writing_ && !finished_) WriteNext(alive);
  }

  void End(const grpc::Status& status) ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    if (std::exchange(finished_, true)) return;
    Finish(status);
  }

  void OnWriteDone(bool ok) override ABSL_LOCKS_EXCLUDED(mu_) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    if (!finished_ && ok) WriteNext(/*alive=*/false);
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    {
      absl::MutexLock lock(&mu_);
      streams_.hub_.Close(reader_);
    }
    streams_.Remove(this);
    delete this;
  }

 private:
  void WriteNext(bool alive) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    std::string message;
    if (!streams_.hub_.Read(&reader_, alive, &message)) return;
    if (!header_.empty()) message += std::exchange(header_, {});
    const grpc::Slice slice(message);
    buffer_ = grpc::ByteBuffer(&slice, 1);
    writing_ = true;
    streams_.messages_.fetch_add(1, std::memory_order_relaxed);
    StartWrite(&buffer_);
  }

  WatchStreams& streams_;
  absl::Mutex mu_;
  std::string header_ ABSL_GUARDED_BY(mu_);       // A field of the first message.
  WatchHub::Reader reader_ ABSL_GUARDED_BY(mu_);  // OnDone comes last, alone.
  grpc::ByteBuffer buffer_ ABSL_GUARDED_BY(mu_);  // gRPC's while writing_.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
};

WatchStreams::WatchStreams(WatchStreamsOptions options, WatchHub& hub,
                           const TopologyHolder& topology, Executor& executor)
    : options_(std::move(options)), hub_(hub), topology_(topology), executor_(executor) {
  hub_.SetListener([this] { PumpSoon(); });
  executor_.PostAfter(options_.heartbeat, [this] { Beat(); });
}

WatchStreams::Reactor* WatchStreams::Refuse(const grpc::Status& status) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  return new FailedWriter<grpc::ByteBuffer>(status);
}

WatchStreams::Reactor* WatchStreams::Open(const grpc::ByteBuffer& bytes) {
  cache::v1::WatchRequest request;
  if (!Parse(bytes, &request)) {
    return Refuse(MakeError(grpc::StatusCode::INVALID_ARGUMENT, reason::kMalformedRequest,
                            "the message is no WatchRequest"));
  }
  if (const auto error = limits::CheckHeader(request.header())) {
    return Refuse(ToGrpcStatus(*error));
  }
  if (request.slots().empty()) return Refuse(FieldInvalid("name at least one slot"));
  SlotSet slots;
  for (const uint32_t slot : request.slots()) {
    if (slot >= kSlotCount) {
      return Refuse(FieldInvalid(absl::StrCat("slot ", slot, " must be below ", kSlotCount)));
    }
    slots.set(slot);
  }
  // As a field of the message that it is appended to.
  cache::v1::WatchResponse first;
  first.mutable_header()->set_request_id(request.header().request_id());
  first.mutable_header()->set_node(options_.node_id);
  first.mutable_header()->set_epoch(topology_.Get()->epoch());
  Stream* stream = nullptr;
  grpc::Status refused = grpc::Status::OK;
  {
    absl::MutexLock lock(&mu_);
    if (shutting_down_) {
      refused = MakeError(grpc::StatusCode::UNAVAILABLE, reason::kShuttingDown,
                          "the node is shutting down");
    } else if (streams_.size() >= options_.max_streams) {
      refused = MakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, reason::kOverloaded,
                          absl::StrCat("this node feeds ", options_.max_streams,
                                       " Watch streams already; let clients share theirs"));
    } else {
      stream = new Stream(*this, request, slots, first.SerializeAsString());
      streams_.insert(stream);
    }
  }
  if (stream == nullptr) return Refuse(refused);
  // It tells where it begins. Not on the executor: it may be busy, and the caller waits.
  stream->Pump(/*alive=*/true);
  return stream;
}

void WatchStreams::PumpSoon() {
  if (pump_is_due_.exchange(true)) return;
  executor_.PostAfter(options_.gather, [this] {
    pump_is_due_.store(false);  // Before it reads: what comes later asks for another.
    Pump(/*alive=*/false);
  });
}

void WatchStreams::Beat() {
  Pump(/*alive=*/true);
  executor_.PostAfter(options_.heartbeat, [this] { Beat(); });
}

void WatchStreams::Pump(bool alive) {
  absl::MutexLock lock(&mu_);
  for (Stream* stream : streams_) stream->Pump(alive);
}

void WatchStreams::Shutdown() {
  absl::MutexLock lock(&mu_);
  shutting_down_ = true;
  for (Stream* stream : streams_) {
    stream->End(MakeError(grpc::StatusCode::UNAVAILABLE, reason::kShuttingDown,
                          "the node is shutting down"));
  }
}

size_t WatchStreams::open() const {
  absl::MutexLock lock(&mu_);
  return streams_.size();
}

void WatchStreams::Remove(Stream* stream) {
  absl::MutexLock lock(&mu_);
  streams_.erase(stream);
}

}  // namespace meridian
