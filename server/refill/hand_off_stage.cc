#include "server/refill/hand_off_stage.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/hash.h"
#include "server/node/fence.h"
#include "server/node/limits.h"
#include "server/node/record.h"

namespace meridian {
namespace {

// What an entry takes here beyond its bytes, about.
constexpr size_t kStagedOverhead = 200;
// Entries that are put into L1 by one task.
constexpr size_t kPutTogether = 2000;

size_t ChargeOf(const HandOffItem& item) {
  return kStagedOverhead + item.name_space.size() + item.key.size() + item.value.size() +
         item.tags.size();
}

}  // namespace

HandOffStage::HandOffStage(HandOffStageOptions options, const NodeContext& context, KeyRefill& keys,
                           TaskGate gate)
    : options_(options), context_(context), keys_(keys), gate_(std::move(gate)) {}

void HandOffStage::Begin(uint64_t epoch, const std::vector<uint32_t>& slots) {
  if (epoch_ != 0) End();
  ++plan_;
  epoch_ = epoch;
  if (slots.empty()) return;
  if (tail_ == nullptr) {
    ChangelogTailOptions options;
    options.log_entries = options_.log_entries;
    options.counts_lost = false;  // The owner's does.
    tail_ = std::make_unique<ChangelogTail>(options, context_.l2, gate_, context_.clock, observer_,
                                            std::vector<ChangeSink*>{this});
    tail_->Start();
  }
  for (const uint32_t slot : slots) slots_[slot];
  std::vector<uint32_t> followed = slots;
  for (const uint32_t slot : FenceSlots()) followed.push_back(slot);
  std::sort(followed.begin(), followed.end());
  followed.erase(std::unique(followed.begin(), followed.end()), followed.end());
  unfollowed_ = followed.size();
  tail_->SetOwned(followed);
  gate_.PostAfter(options_.keep, [this, plan = plan_] {
    if (plan == plan_ && epoch_ != 0) End();
  });
}

void HandOffStage::End() {
  epoch_ = 0;
  DropAll();
  unfollowed_ = unlisted_ = bytes_ = 0;
  ready_ = false;
  changed_ = {};
  if (tail_ != nullptr) tail_->SetOwned({});
}

void HandOffStage::OnSlotGained(uint32_t slot, LogPosition position) {
  if (unfollowed_ > 0 && --unfollowed_ == 0) LoadFences();
}

// Fences that were stored before their log was followed: whoever sends may know one that this node
// has not heard of.
void HandOffStage::LoadFences() {
  for (const uint32_t slot : FenceSlots()) {
    ++unlisted_;
    context_.l2.ListFences(
        slot, context_.clock.Now() + options_.timeout,
        gate_.Reply<absl::StatusOr<std::vector<LogEntry>>>([this, plan = plan_](const auto& list) {
          // Without it there is no hand-off; those who ask give up.
          if (list.ok()) FencesLoaded(plan, *list);
        }));
  }
}

void HandOffStage::FencesLoaded(uint64_t plan, const std::vector<LogEntry>& fences) {
  if (plan != plan_ || epoch_ == 0 || unlisted_ == 0) return;
  for (const LogEntry& entry : fences) Learn(entry);
  if (epoch_ != 0 && --unlisted_ == 0) ready_ = true;
}

void HandOffStage::Learn(const LogEntry& entry) {
  const std::optional<Fence> fence = ParseFenceKey(entry.name_space, entry.key, entry.version);
  // Refused: this node's clock is off.
  if (fence && !context_.fences->Learn(*fence).ok()) DropAll();
}

void HandOffStage::OnChanges(LogPosition after, const LogSlice& slice) {
  for (const LogEntry& entry : slice.entries) {
    if (IsFenceNamespace(entry.name_space)) {
      Learn(entry);
    } else {
      changed_.Add(entry);
    }
  }
  if (changed_.size() > options_.max_changes) DropAll();
}

absl::StatusOr<uint64_t> HandOffStage::Take(uint64_t epoch, std::vector<HandOffItem> items) {
  if (epoch == 0 || epoch != epoch_) {
    return absl::UnavailableError("NOT_READY: this node does not know that plan");
  }
  if (!ready_ || !keys_.CanJudge()) {
    return absl::UnavailableError("NOT_READY: this node does not follow its slots yet");
  }
  uint64_t taken = 0;
  for (HandOffItem& item : items) taken += Stage(std::move(item)) ? 1 : 0;
  return taken;
}

bool HandOffStage::Stage(HandOffItem item) {
  const auto slot = slots_.find(SlotOf(item.name_space, item.key));
  if (slot == slots_.end()) return false;
  const size_t charge = ChargeOf(item);
  if (bytes_ + charge > options_.max_bytes) return false;
  // A clock that is ahead is refused, and what it has written with it.
  if (!context_.versions.Merge(item.version.hlc).ok()) return false;
  bytes_ += charge;
  Staged staged{std::move(item), context_.clock.Monotonic(), std::nullopt};
  staged.expires_at += staged.item.ttl;
  EntryKey key;
  // Of a slot that was armed before: this one's turn begins now.
  if (slot->second.armed_at && Name(staged.item, slot->first, &key) != nullptr) {
    staged.token = context_.engine.BeginFill(key);
    slot->second.armed_at = context_.clock.Monotonic();
  }
  slot->second.staged.push_back(std::move(staged));
  return true;
}

const Namespace* HandOffStage::Name(const HandOffItem& item, uint32_t slot, EntryKey* key) const {
  const Namespace* const name_space = context_.namespaces.Resolve(item.name_space);
  if (name_space == nullptr) return nullptr;
  *key = {name_space->id, slot, context_.engine.HashOf(name_space->id, item.key), item.key};
  return name_space;
}

void HandOffStage::Followed(uint32_t number) {
  const auto slot = slots_.find(number);
  if (slot == slots_.end()) return;
  for (Staged& staged : slot->second.staged) {
    EntryKey key;
    if (Name(staged.item, number, &key) != nullptr) staged.token = context_.engine.BeginFill(key);
  }
  slot->second.armed_at = context_.clock.Monotonic();
  tail_->Nudge();
}

void HandOffStage::DropAll() {
  for (auto& [number, slot] : slots_) {
    counters_[static_cast<size_t>(RefillOutcome::kGone)] += slot.staged.size();
  }
  slots_.clear();
}

void HandOffStage::Doubt(uint32_t slot) {
  const auto fences = FenceSlots();
  std::find(fences.begin(), fences.end(), slot) == fences.end() ? Drop(slot) : DropAll();
}

void HandOffStage::Drop(uint32_t number) {
  const auto slot = slots_.find(number);
  if (slot == slots_.end()) return;
  counters_[static_cast<size_t>(RefillOutcome::kGone)] += slot->second.staged.size();
  slots_.erase(slot);
}

// Changes up to `at` are in changed_; later ones void the tokens of slots that were armed before.
void HandOffStage::OnCaughtUp(absl::Duration at) {
  if (epoch_ == 0) return;
  std::vector<Staged> ready;
  for (auto it = slots_.begin(); it != slots_.end();) {
    Slot& slot = it->second;
    if (!slot.armed_at || *slot.armed_at >= at) {
      ++it;
      continue;
    }
    ready.insert(ready.end(), std::make_move_iterator(slot.staged.begin()),
                 std::make_move_iterator(slot.staged.end()));
    it = slots_.erase(it);
  }
  std::stable_sort(ready.begin(), ready.end(),
                   [](const Staged& a, const Staged& b) { return a.item.heat > b.item.heat; });
  // What was changed is dropped now: the next plan forgets what this one has heard.
  std::erase_if(ready, [this](const Staged& staged) {
    const L2Key name{0, staged.item.name_space, staged.item.key};
    if (changed_.NewestOf(name) <= staged.item.version) return false;
    counters_[static_cast<size_t>(RefillOutcome::kGone)] += 1;
    return true;
  });
  if (!ready.empty()) PutIn(std::move(ready));
  if (!slots_.empty() || !ready_) return;
  gate_.Post([this, plan = plan_] {  // The tail is told later: it is in the middle of this.
    if (plan == plan_ && epoch_ != 0) End();
  });
}

void HandOffStage::PutIn(std::vector<Staged> ready) {
  const size_t now = std::min(ready.size(), kPutTogether);
  for (size_t i = 0; i < now; ++i) {
    counters_[static_cast<size_t>(Put(ready[i]))] += 1;
  }
  if (now == ready.size()) return;
  ready.erase(ready.begin(), ready.begin() + static_cast<ptrdiff_t>(now));
  gate_.Post([this, rest = std::move(ready)]() mutable { PutIn(std::move(rest)); });
}

RefillOutcome HandOffStage::Put(const Staged& staged) {
  const HandOffItem& item = staged.item;
  const uint32_t slot = SlotOf(item.name_space, item.key);
  EntryKey key;
  const Namespace* const name_space = Name(item, slot, &key);
  if (name_space == nullptr || !staged.token || !IsToldOf(*name_space->policy())) {
    return RefillOutcome::kRefused;
  }
  const Member* const owner = context_.topology.Get()->OwnerOf(slot);
  if (owner == nullptr || owner->id != context_.node_id) return RefillOutcome::kGone;
  const absl::Duration ttl = staged.expires_at - context_.clock.Monotonic();
  if (ttl <= absl::ZeroDuration()) return RefillOutcome::kGone;
  const Record record{.version = item.version,
                      .expires_at = context_.clock.Now() + ttl,
                      .encoding = item.encoding,
                      .raw_size = item.raw_size,
                      .tags = item.tags,
                      .value = item.value.view()};
  return keys_.Put(*name_space, key, record, ttl, item.value, *staged.token);
}

}  // namespace meridian
