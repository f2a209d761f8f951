#include "common/engine/traffic_log.h"

#include <algorithm>
#include <limits>

namespace meridian {
namespace {

constexpr uint64_t kEveryKey = 1 << 16;

uint32_t Saturate(int64_t number) {
  return static_cast<uint32_t>(
      std::clamp<int64_t>(number, 0, std::numeric_limits<uint32_t>::max()));
}

// At least 1, which a life of less than that is, too.
uint32_t LifeMillis(absl::Duration life) {
  return life == absl::InfiniteDuration()
             ? 0
             : std::max(Saturate(absl::ToInt64Milliseconds(life)), uint32_t{1});
}

}  // namespace

void TrafficLog::Record(TrafficKind kind, uint64_t hash, absl::Duration now, size_t size,
                        LoggedLife life) {
  const bool is_get = kind == TrafficKind::kHit || kind == TrafficKind::kMiss;
  if (is_get) asked_.fetch_add(1, std::memory_order_relaxed);
  if (SampleBits(hash) >= threshold_.load(std::memory_order_relaxed)) return;
  const LoggedRequest request = {.hash = hash,
                                 .time_us = absl::ToInt64Microseconds(now),
                                 .kind = kind,
                                 .given_ms = LifeMillis(life.given),
                                 .own_ms = LifeMillis(life.own),
                                 .size = Saturate(static_cast<int64_t>(size)),
                                 .asked = asked_.load(std::memory_order_relaxed)};
  absl::MutexLock lock(&mu_);
  if (ring_.size() < capacity_) {
    ring_.push_back(request);
    return;
  }
  ring_[oldest_] = request;
  oldest_ = (oldest_ + 1) % capacity_;
}

void TrafficLog::FitTo(size_t entries) {
  uint64_t threshold = kEveryKey;
  while (threshold > 1 && entries * threshold / kEveryKey > kMaxShadowEntries) threshold /= 2;
  absl::MutexLock lock(&mu_);
  const uint64_t old = threshold_.load(std::memory_order_relaxed);
  if (threshold >= old && threshold < old * 8) return;
  std::vector<LoggedRequest> kept;
  for (size_t i = 0; threshold < old && i < ring_.size(); ++i) {
    const LoggedRequest& request = ring_[(oldest_ + i) % ring_.size()];
    if (SampleBits(request.hash) < threshold) kept.push_back(request);
  }
  ring_ = std::move(kept);
  oldest_ = 0;
  threshold_.store(threshold, std::memory_order_relaxed);
}

size_t TrafficLog::bytes() const {
  absl::MutexLock lock(&mu_);
  return ring_.capacity() * sizeof(LoggedRequest);
}

TrafficLog::Snapshot TrafficLog::Copy() const {
  absl::MutexLock lock(&mu_);
  Snapshot snapshot = {.requests = {},
                       .rate = static_cast<double>(threshold_.load(std::memory_order_relaxed)) /
                               static_cast<double>(kEveryKey),
                       .asked = asked_.load(std::memory_order_relaxed)};
  snapshot.requests.reserve(ring_.size());
  for (size_t i = 0; i < ring_.size(); ++i) {
    snapshot.requests.push_back(ring_[(oldest_ + i) % ring_.size()]);
  }
  return snapshot;
}

}  // namespace meridian
