#include "server/node/access_sampler.h"

#include <utility>

#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr uint32_t kMostCallersPerSample = uint32_t{1} << 24;
// So that equal sessions are equal callers at every node.
constexpr uint64_t kSeed = 0x6d657269646961;

}  // namespace

uint64_t AccessSampler::CallerOf(std::string_view session_or_peer) {
  const uint64_t hash = Hash64(session_or_peer, kSeed);
  return hash == 0 ? 1 : hash;
}

void AccessSampler::Add(uint64_t caller, std::string_view name_space,
                        std::span<const std::string_view> keys, absl::Duration now) {
  absl::MutexLock lock(&mu_);
  for (const std::string_view key : keys) {
    const size_t bytes = name_space.size() + key.size();
    if (kept_.size() >= kMaxKept || bytes_ + bytes > kMaxBytes) {
      is_full_ = true;
      return;
    }
    bytes_ += bytes;
    kept_.push_back({std::string(name_space), std::string(key), caller, now});
  }
}

std::vector<SampledAccess> AccessSampler::Take() {
  absl::MutexLock lock(&mu_);
  const uint32_t now = callers_per_sample();
  if (is_full_ && now <= kMostCallersPerSample / 2) {
    callers_per_sample_.store(now * 2, std::memory_order_relaxed);
  } else if (!is_full_ && now > least_ && kept_.size() < kMaxKept / 4) {
    callers_per_sample_.store(now / 2, std::memory_order_relaxed);
  }
  is_full_ = false;
  bytes_ = 0;
  return std::exchange(kept_, {});
}

}  // namespace meridian
