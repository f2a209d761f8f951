#include "client/internal/cluster.h"

#include <utility>

#include "absl/random/random.h"

namespace meridian {
namespace {

uint64_t RandomSeed() {
  absl::BitGen random;
  return absl::Uniform<uint64_t>(random);
}

}  // namespace

Cluster::Cluster(std::vector<std::string> targets, OnView on_view, ChannelSecurity security)
    : targets_(std::move(targets)),
      on_view_(std::move(on_view)),
      request_ids_(RandomSeed()),
      turn_(RandomSeed() >> 32),
      channels_(std::move(security)) {
  Install(Topology());
  source_ = std::make_unique<TopologySource>(
      channels_, targets_, [this](const Topology& topology) { Install(topology); });
}

Cluster::~Cluster() {
  source_.reset();
  EndCall();  // The Cluster's own.
  absl::MutexLock lock(&mu_);
  mu_.Await(absl::Condition(&idle_));
}

std::shared_ptr<const ClusterView> Cluster::View() const {
  absl::MutexLock lock(&mu_);
  return view_;
}

bool Cluster::WaitForTopology(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  const auto known = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return view_->table.epoch() > 0; };
  return mu_.AwaitWithTimeout(absl::Condition(&known), timeout);
}

void Cluster::NoteEpoch(uint64_t epoch) {
  if (epoch <= epoch_.load(std::memory_order_relaxed)) return;
  uint64_t requested = requested_epoch_.load(std::memory_order_relaxed);
  while (epoch > requested) {
    if (requested_epoch_.compare_exchange_weak(requested, epoch, std::memory_order_relaxed)) {
      source_->Refresh();
      return;
    }
  }
}

void Cluster::EndCall() {
  if (calls_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  absl::MutexLock lock(&mu_);
  idle_ = true;
}

void Cluster::Install(const Topology& topology) {
  auto view = std::make_shared<ClusterView>(ClusterView{RoutingTable(topology, targets_), {}});
  for (const std::string& address : view->table.addresses()) {
    view->nodes.push_back(channels_.Get(address));
  }
  std::shared_ptr<const ClusterView> previous;  // Its channels close after the lock is free.
  {
    absl::MutexLock lock(&mu_);
    if (view_ != nullptr && topology.epoch() <= view_->table.epoch()) return;
    previous = std::exchange(view_, view);
    epoch_.store(topology.epoch(), std::memory_order_relaxed);
  }
  if (on_view_ != nullptr) on_view_(*view);  // Only one thread installs.
}

}  // namespace meridian
