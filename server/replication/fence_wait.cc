#include "server/replication/fence_wait.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "server/replication/region_cuts.h"
#include "server/replication/replicated_write.h"

namespace meridian {
namespace {

std::vector<uint32_t> AllSlots() {
  std::vector<uint32_t> slots(kSlotCount);
  std::iota(slots.begin(), slots.end(), 0);
  return slots;
}

bool IsAnyOf(const std::set<uint32_t>& behind, const std::vector<uint32_t>& slots) {
  return std::any_of(slots.begin(), slots.end(),
                     [&behind](uint32_t slot) { return behind.count(slot) > 0; });
}

}  // namespace

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
  std::sort(slots.begin(), slots.end());
  std::vector<uint32_t> gained;
  std::set_difference(slots.begin(), slots.end(), slots_.begin(), slots_.end(),
                      std::back_inserter(gained));
  slots_ = std::move(slots);
  for (auto& [region, other] : others_) {
    // The last owner may have seen signs of the region there.
    if (IsAnyOf(other.unheard, gained)) other.behind_since = other.sign = clock_.Monotonic();
  }
  if (!slots_.empty() && !std::exchange(began_, true)) {
    since_ = clock_.Monotonic();
    gate_.PostAfter(options_.patience, [this] { Update(); });
    for (const auto& [region, other] : others_) Ask(region);
  }
  Update();
}

void FenceWait::Ask(const std::string& region) {
  Other& other = others_.at(region);
  other.asked_at = clock_.Monotonic();
  const absl::Time before = TombstoneHorizon(clock_.Now(), options_.tombstone_ttl);
  AskHearing(own_, {region, other.store, AllSlots(), before, /*by_key=*/false, {}},
             options_.timeout, gate_, clock_, [this, region, before](const HearingAnswer& answer) {
               Judge(region, before, answer);
             });
}

void FenceWait::Judge(const std::string& region, absl::Time before, const HearingAnswer& answer) {
  if (!answer.status.ok()) return AskAgain(region, /*failed=*/true);
  if (!answer.unheard.empty()) return AskWhetherCut(region, before, answer.unheard);
  Take(&others_.at(region), before, {}, /*cut=*/false);
  AskAgain(region, /*failed=*/false);
}

void FenceWait::AskWhetherCut(const std::string& region, absl::Time before,
                              std::set<uint32_t> unheard) {
  others_.at(region).store->FetchFromPrimary(
      {CutOrderKey(region, options_.own_region)}, clock_.Now() + options_.timeout,
      gate_.Reply<std::vector<L2Record>>([this, region, before, unheard = std::move(unheard)](
                                             const std::vector<L2Record>& orders) {
        const L2Record& order = orders.front();
        const bool known = order.status.ok();
        if (known) Take(&others_.at(region), before, unheard, IsCutOrder(order));
        AskAgain(region, /*failed=*/!known);
      }));
}

void FenceWait::Take(Other* other, absl::Time before, std::set<uint32_t> unheard, bool cut) {
  const bool healed = other->cut && !cut;
  if (other->unheard.empty() || healed) {
    other->behind_since = other->sign = clock_.Monotonic();
  } else if (unheard.size() < other->unheard.size()) {
    NoteSign(other);
  }
  other->answered = true;
  other->before = before;
  other->cut = cut;
  other->unheard = std::move(unheard);
  other->told |= !IsAnyOf(other->unheard, slots_);
}

void FenceWait::AskAgain(const std::string& region, bool failed) {
  gate_.PostAfter(AskAgainAfter(others_.at(region), failed), [this, region] { Ask(region); });
  Update();
}

absl::Duration FenceWait::AskAgainAfter(const Other& other, bool failed) const {
  if (failed) return options_.interval;
  // Where cursors stay behind though nothing is unheard, much of the log may be looked through.
  const absl::Duration took = clock_.Monotonic() - other.asked_at;
  const bool soon = Mends(other) || other.cut;
  return std::clamp(10 * took, soon ? options_.interval : options_.again, 10 * options_.again);
}

void FenceWait::OnChanges(LogPosition after, const LogSlice& slice) {
  for (auto& [region, other] : others_) {
    if (other.unheard.empty()) continue;
    for (const LogEntry& entry : slice.entries) {
      if (IsChangeOf(entry.version, other.id)) NoteSign(&other);
    }
  }
}

// A region that comes back after it was given up (a long cut was healed) begins to mend now.
void FenceWait::NoteSign(Other* other) {
  const absl::Duration now = clock_.Monotonic();
  const bool given_up = now - other->sign >= options_.give_up;
  other->sign = now;
  if (!given_up) return;
  other->behind_since = now;
  Update();
}

bool FenceWait::Mends(const Other& other) const {
  const absl::Duration now = clock_.Monotonic();
  return !other.unheard.empty() && !other.cut && now - other.sign < options_.give_up &&
         now - other.behind_since < options_.at_most;
}

bool FenceWait::IsWaitedFor(const Other& other) const {
  if (other.told) return false;
  if (!other.answered) return clock_.Monotonic() - since_ < options_.patience;
  return Mends(other) && IsAnyOf(other.unheard, slots_);
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
