#include "server/node/update_log.h"

#include <utility>

#include "common/base/strings.h"

namespace meridian {
namespace {

bool IsUpdate(const WriteItem& item, const WriteResult& result) {
  return result.state == EntryState::kOk && item.lease.empty() && item.kind != WriteKind::kTouch;
}

}  // namespace

void UpdateLog::SetFollowed(NamespaceId id, bool follows) {
  absl::MutexLock lock(&mu_);
  states_[id].store(follows ? State::kFollowed : State::kLeftOut, std::memory_order_relaxed);
  const auto lane = lanes_.find(id);
  if (follows || lane == lanes_.end()) return;
  keys_ -= lane->second.keys.size();
  for (const std::string& key : lane->second.keys) bytes_ -= key.size();
  lanes_.erase(lane);
}

void UpdateLog::Add(NamespaceId id, const WriteRequest& request,
                    const std::vector<WriteResult>& results) {
  uint64_t dropped = 0;
  if (states_[id].load(std::memory_order_relaxed) == State::kFull) {
    for (size_t i = 0; i < results.size(); ++i) {
      dropped += IsUpdate(request.items[i], results[i]) ? 1 : 0;
    }
  } else {
    absl::MutexLock lock(&mu_);
    if (!Follows(id)) return;
    Lane& lane = lanes_[id];
    if (lane.name_space.empty()) lane.name_space = std::string(request.name_space);
    for (size_t i = 0; i < results.size(); ++i) {
      const std::string_view key = request.items[i].key;
      if (!IsUpdate(request.items[i], results[i]) || lane.keys.contains(ToAbsl(key))) continue;
      if (lane.keys.size() >= kMaxKeys || keys_ >= kMaxKeysOfAll ||
          bytes_ + key.size() > kMaxBytes) {
        states_[id].store(State::kFull, std::memory_order_relaxed);
        ++dropped;
        continue;
      }
      lane.keys.emplace(key);
      ++keys_;
      bytes_ += key.size();
    }
  }
  if (dropped > 0) dropped_.fetch_add(dropped, std::memory_order_relaxed);
}

std::vector<UpdateLog::Batch> UpdateLog::Take() {
  absl::flat_hash_map<NamespaceId, Lane> lanes;
  {
    absl::MutexLock lock(&mu_);
    for (std::atomic<State>& state : states_) {
      if (state.load(std::memory_order_relaxed) == State::kFull) {
        state.store(State::kFollowed, std::memory_order_relaxed);
      }
    }
    lanes = std::exchange(lanes_, {});
    keys_ = 0;
    bytes_ = 0;
  }
  std::vector<Batch> batches;
  for (auto& [id, lane] : lanes) {
    if (lane.keys.empty()) continue;
    Batch batch{id, std::move(lane.name_space), {}};
    batch.keys.assign(lane.keys.begin(), lane.keys.end());
    batches.push_back(std::move(batch));
  }
  return batches;
}

}  // namespace meridian
