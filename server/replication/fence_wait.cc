#include "server/replication/fence_wait.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "server/replication/replicated_write.h"

namespace meridian {

FenceWait::FenceWait(FenceWaitOptions options, L2Store& own,
                     const std::map<std::string, L2Store*>& others, TaskGate gate,
                     const Clock& clock, Fence fence)
    : options_(options),
      own_(own),
      gate_(std::move(gate)),
      clock_(clock),
      fence_(std::move(fence)) {
  for (const auto& [region, store] : others) {
    Other& other = others_[region];
    other.store = store;
    other.id = RegionId(region);
  }
}

void FenceWait::SetOwned(std::vector<uint32_t> slots) {
  if (slots_.empty() && !slots.empty()) {
    since_ = clock_.Monotonic();
    gate_.PostAfter(options_.patience, [this] { Update(); });
  }
  std::sort(slots.begin(), slots.end());
  const bool gained = !std::includes(slots_.begin(), slots_.end(), slots.begin(), slots.end());
  slots_ = std::move(slots);
  for (auto& [region, other] : others_) {
    for (auto it = other.unheard.begin(); it != other.unheard.end();) {
      const bool ours = std::binary_search(slots_.begin(), slots_.end(), *it);
      it = ours ? std::next(it) : other.unheard.erase(it);
    }
    if (gained || !std::exchange(other.asking, true)) Ask(region, ++other.round);
  }
  Update();
}

void FenceWait::Ask(const std::string& region, uint64_t round) {
  Other& other = others_.at(region);
  if (round != other.round) return;
  other.asking = !slots_.empty();
  if (!other.asking) return;
  other.asked_at = clock_.Monotonic();
  const absl::Time before = TombstoneHorizon(clock_.Now(), options_.tombstone_ttl);
  AskHearing(own_, {region, other.store, slots_, before, /*by_key=*/false, {}}, options_.timeout,
             gate_, clock_, [this, region, round, before](const HearingAnswer& answer) {
               if (round == others_.at(region).round) Judge(region, before, answer);
             });
}

void FenceWait::Judge(const std::string& region, absl::Time before, const HearingAnswer& answer) {
  Other& other = others_.at(region);
  if (answer.status.ok()) {
    const absl::Duration now = clock_.Monotonic();
    if (other.unheard.empty()) {
      other.behind_since = other.sign = now;
    } else if (answer.unheard.size() < other.unheard.size()) {
      NoteSign(&other);
    }
    other.answered = true;
    other.before = before;
    other.told |= answer.unheard.empty();
    other.unheard.clear();
    for (const uint32_t slot : answer.unheard) {  // Some may have been lost since.
      if (std::binary_search(slots_.begin(), slots_.end(), slot)) other.unheard.insert(slot);
    }
  }
  gate_.PostAfter(AskAgainAfter(other, answer.status),
                  [this, region, round = other.round] { Ask(region, round); });
  Update();
}

absl::Duration FenceWait::AskAgainAfter(const Other& other, const absl::Status& status) const {
  if (!status.ok() || !other.unheard.empty()) return options_.interval;
  // Where cursors stay behind though nothing is unheard, much of the log may be looked through.
  const absl::Duration took = clock_.Monotonic() - other.asked_at;
  return std::clamp(10 * took, options_.again, 10 * options_.again);
}

void FenceWait::OnChanges(LogPosition after, const LogSlice& slice) {
  for (auto& [region, other] : others_) {
    if (other.unheard.empty()) continue;
    for (const LogEntry& entry : slice.entries) {
      if (entry.version.region == other.id) NoteSign(&other);
    }
  }
}

// A region that comes back after it was given up (a long cut was healed) begins to mend now.
void FenceWait::NoteSign(Other* other) {
  const absl::Duration now = clock_.Monotonic();
  if (now - other->sign >= options_.give_up) other->behind_since = now;
  other->sign = now;
}

bool FenceWait::Mends(const Other& other) const {
  const absl::Duration now = clock_.Monotonic();
  return !other.unheard.empty() && now - other.sign < options_.give_up &&
         now - other.behind_since < options_.at_most;
}

bool FenceWait::IsWaitedFor(const Other& other) const {
  if (other.told) return false;
  if (!other.answered) return clock_.Monotonic() - since_ < options_.patience;
  return Mends(other);
}

void FenceWait::Update() {
  std::vector<std::string> waits_for;
  std::map<uint32_t, absl::Time> fenced;
  for (const auto& [region, other] : others_) {
    if (!slots_.empty() && IsWaitedFor(other)) waits_for.push_back(region);
    if (!Mends(other)) continue;
    for (const uint32_t slot : other.unheard) {
      const auto [it, is_new] = fenced.emplace(slot, other.before);
      it->second = std::max(it->second, other.before);
    }
  }
  fence_(fenced);
  absl::MutexLock lock(&mu_);
  waits_for_ = std::move(waits_for);
}

std::vector<std::string> FenceWait::WaitsFor() const {
  absl::MutexLock lock(&mu_);
  return waits_for_;
}

}  // namespace meridian
