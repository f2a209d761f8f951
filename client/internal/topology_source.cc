#include "client/internal/topology_source.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/topology_proto.h"

namespace meridian {
namespace {

constexpr std::chrono::milliseconds kFetchTimeout(1000);

}  // namespace

// Deletes a call of `source`, then lets the source go. In this order: a context holds its channel,
// and the last channel must not end on a thread of gRPC, because it waits for those threads.
template <typename Call>
void TopologySource::Leave(Call* call) {
  TopologySource* const source = call->source_;
  {
    absl::MutexLock lock(&source->mu_);
    source->in_flight_.erase(&call->context_);
    ++source->leaving_;
  }
  delete call;
  absl::MutexLock lock(&source->mu_);
  --source->leaving_;
}

// One GetTopology; deletes itself.
class TopologySource::Fetch final : public grpc::ClientUnaryReactor {
 public:
  static void Start(TopologySource* source, const NodeChannel& node, bool then_watch) {
    auto* fetch = new Fetch(source, then_watch);
    if (!source->Enter(&fetch->context_)) {
      delete fetch;
      return;
    }
    fetch->context_.set_deadline(std::chrono::system_clock::now() + kFetchTimeout);
    node.stub->async()->GetTopology(&fetch->context_, &fetch->request_, &fetch->response_, fetch);
    fetch->StartCall();
  }

  void OnDone(const grpc::Status& status) override {
    source_->executor_.Post([source = source_, status, topology = response_.topology(),
                             watch = then_watch_] { source->OnFetched(status, topology, watch); });
    Leave(this);
  }

 private:
  friend class TopologySource;
  Fetch(TopologySource* source, bool then_watch) : source_(source), then_watch_(then_watch) {}

  TopologySource* const source_;
  const bool then_watch_;
  grpc::ClientContext context_;
  cache::v1::GetTopologyRequest request_;
  cache::v1::GetTopologyResponse response_;
};

// One WatchTopology stream; deletes itself when it ends.
class TopologySource::Watch final
    : public grpc::ClientReadReactor<cache::v1::WatchTopologyResponse> {
 public:
  static void Start(TopologySource* source, const NodeChannel& node, uint64_t epoch) {
    auto* watch = new Watch(source);
    if (!source->Enter(&watch->context_)) {
      delete watch;
      return;
    }
    watch->request_.set_known_epoch(epoch);
    node.stub->async()->WatchTopology(&watch->context_, &watch->request_, watch);
    watch->StartRead(&watch->response_);
    watch->StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    source_->executor_.Post([source = source_, topology = response_.topology()] {
      source->backoff_.Reset();
      source->Report(topology);
    });
    StartRead(&response_);
  }

  void OnDone(const grpc::Status&) override {
    source_->executor_.Post([source = source_] { source->OnWatchEnded(); });
    Leave(this);
  }

 private:
  friend class TopologySource;
  explicit Watch(TopologySource* source) : source_(source) {}

  TopologySource* const source_;
  grpc::ClientContext context_;
  cache::v1::WatchTopologyRequest request_;
  cache::v1::WatchTopologyResponse response_;
};

TopologySource::TopologySource(ChannelCache& channels, std::vector<std::string> targets,
                               OnTopology on_topology)
    : channels_(channels),
      targets_(std::move(targets)),
      on_topology_(std::move(on_topology)),
      candidates_(targets_),
      backoff_(BackoffOptions{absl::Milliseconds(50), absl::Seconds(5), 2.0, 0.5}),
      executor_("topology") {
  executor_.Post([this] { StartFetch(); });
}

TopologySource::~TopologySource() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    for (grpc::ClientContext* context : in_flight_) context->TryCancel();
    const auto all_left = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return in_flight_.empty() && leaving_ == 0;
    };
    mu_.Await(absl::Condition(&all_left));
  }
  executor_.Stop();
}

void TopologySource::Refresh() {
  executor_.Post([this] {
    if (fetching_ || node_ == nullptr) return;
    fetching_ = true;
    Fetch::Start(this, *node_, /*then_watch=*/false);
  });
}

void TopologySource::StartFetch() {
  retry_pending_ = false;
  if (fetching_ || watching_) return;
  fetching_ = true;
  node_ = channels_.Get(candidates_[turn_++ % candidates_.size()]);
  Fetch::Start(this, *node_, /*then_watch=*/true);
}

void TopologySource::OnFetched(const grpc::Status& status, const cache::v1::Topology& topology,
                               bool then_watch) {
  fetching_ = false;
  if (status.ok()) Report(topology);
  if (watching_) return;
  if (then_watch && status.ok()) {
    StartWatch();
  } else {
    RetryLater();
  }
}

void TopologySource::StartWatch() {
  watching_ = true;
  Watch::Start(this, *node_, epoch_);
}

void TopologySource::OnWatchEnded() {
  watching_ = false;
  RetryLater();
}

void TopologySource::Report(const cache::v1::Topology& proto) {
  if (proto.epoch() == 0) return;
  absl::StatusOr<Topology> topology = FromProto(proto);
  // A topology that this build would route otherwise is of no use; any node still answers any key.
  if (!topology.ok()) return;
  if (topology->epoch() > epoch_) {
    epoch_ = topology->epoch();
    candidates_.clear();
    for (const Member& member : topology->members()) {
      if (!member.data_address.empty()) candidates_.push_back(member.data_address);
    }
    for (const std::string& target : targets_) {
      if (std::find(candidates_.begin(), candidates_.end(), target) == candidates_.end()) {
        candidates_.push_back(target);
      }
    }
  }
  on_topology_(*std::move(topology));
}

void TopologySource::RetryLater() {
  if (retry_pending_) return;
  retry_pending_ = true;
  executor_.PostAfter(backoff_.Next(absl::Uniform(random_, 0.0, 1.0)), [this] { StartFetch(); });
}

bool TopologySource::Enter(grpc::ClientContext* context) {
  absl::MutexLock lock(&mu_);
  if (stopping_) return false;
  in_flight_.insert(context);
  return true;
}

}  // namespace meridian
