#include "common/engine/key_watch.h"

#include <algorithm>

namespace meridian {

void WatchTable::Begin(uint64_t hash) {
  absl::MutexLock lock(&mu_);
  Watched& watched = watched_[hash];
  if (watched.watches++ == 0) watched.begin = watched.change = ++changes_;
  size_.store(watched_.size(), std::memory_order_relaxed);
}

void WatchTable::End(uint64_t hash) {
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(hash);
  if (--it->second.watches == 0) watched_.erase(it);
  size_.store(watched_.size(), std::memory_order_relaxed);
}

Version WatchTable::NewestOf(uint64_t hash) const {
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(hash);
  return it == watched_.end() ? Version() : it->second.newest;
}

uint64_t WatchTable::ChangeOf(uint64_t hash) const {
  if (empty()) return 0;
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(hash);
  return it == watched_.end() ? 0 : it->second.change;
}

void WatchTable::Changed(uint64_t hash, Version version) {
  if (empty()) return;
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(hash);
  if (it == watched_.end()) return;
  it->second.change = ++changes_;
  it->second.newest = std::max(it->second.newest, version);
}

bool WatchTable::IsVoid(uint64_t hash, uint64_t change, Version version) const {
  absl::MutexLock lock(&mu_);
  const auto it = watched_.find(hash);
  if (it == watched_.end()) return true;  // The watch has ended just now.
  const Watched& watched = it->second;
  if (watched.change == change) return false;
  return change < std::max(watched.begin, cleared_) || watched.newest > version;
}

void WatchTable::AllChanged() {
  absl::MutexLock lock(&mu_);
  cleared_ = ++changes_;
  for (auto& [hash, watched] : watched_) {
    watched.change = cleared_;
    watched.newest = {UINT64_MAX, UINT16_MAX};
  }
}

}  // namespace meridian
