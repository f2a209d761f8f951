#include "server/coordinator/watch_stream.h"

#include <utility>

#include "common/rpc/topology_proto.h"
#include "server/coordinator/register_stream.h"

namespace meridian {

WatchStream* WatchStream::Start(Coordinator& coordinator, uint64_t known_epoch) {
  auto stream = std::shared_ptr<WatchStream>(new WatchStream(coordinator, known_epoch));
  stream->self_ = stream;
  coordinator.executor().Post([stream] { stream->Begin(); });
  return stream.get();
}

void WatchStream::Begin() {
  if (finished_) return;
  if (!coordinator_.leader().leading) return FinishOnce(NotLeaderError(coordinator_));
  coordinator_.Subscribe(this);
  OnTopology(coordinator_.topology());
}

void WatchStream::OnWriteDone(bool ok) {
  coordinator_.executor().Post([self = self_, ok] {
    self->writing_ = false;
    if (ok) {
      self->MaybeWrite();
    } else {
      self->FinishOnce(grpc::Status::CANCELLED);
    }
  });
}

void WatchStream::OnCancel() {
  coordinator_.executor().Post([self = self_] { self->FinishOnce(grpc::Status::CANCELLED); });
}

void WatchStream::OnDone() {
  coordinator_.executor().Post(
      [self = std::move(self_)] { self->coordinator_.Unsubscribe(self.get()); });
}

void WatchStream::OnTopology(const TopologyHolder::Snapshot& topology) {
  pending_ = topology;
  MaybeWrite();
}

void WatchStream::OnLeadershipLost() { FinishOnce(NotLeaderError(coordinator_)); }

void WatchStream::MaybeWrite() {
  if (writing_ || finished_ || pending_ == nullptr || pending_->epoch() <= sent_epoch_) return;
  sent_epoch_ = pending_->epoch();
  ToProto(*pending_, response_.mutable_topology());
  pending_.reset();
  writing_ = true;
  StartWrite(&response_);
}

void WatchStream::FinishOnce(const grpc::Status& status) {
  if (finished_) return;
  finished_ = true;
  coordinator_.Unsubscribe(this);
  Finish(status);
}

}  // namespace meridian
