#include "server/replication/fence_follower.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace meridian {
namespace {

constexpr BackoffOptions kRetry{.initial = absl::Milliseconds(20), .max = absl::Seconds(1)};

ChangelogTailOptions TailOptions(const FenceFollowerOptions& options) {
  ChangelogTailOptions tail;
  tail.active_interval = tail.idle_interval = options.poll;
  tail.timeout = options.timeout;
  tail.log_entries = options.log_entries;
  tail.counts_lost = false;  // The owner's does.
  return tail;
}

std::vector<uint32_t> SortedSlots() {
  const auto slots = FenceSlots();
  std::vector<uint32_t> sorted(slots.begin(), slots.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

}  // namespace

FenceFollower::FenceFollower(FenceFollowerOptions options, L2Store& store, Fences& fences,
                             const TopologyHolder& topology, TaskGate gate, const Clock& clock,
                             ReplicationObserver& observer)
    : options_(std::move(options)),
      store_(store),
      fences_(fences),
      topology_(topology),
      gate_(gate),
      clock_(clock),
      observer_(observer),
      backoff_(kRetry),
      tail_(TailOptions(options_), store, gate, clock, observer, {this}) {
  for (const uint32_t slot : SortedSlots()) lists_[slot];
}

void FenceFollower::Start() {
  tail_.SetOwned(SortedSlots());
  tail_.Start();
  gate_.PostAfter(options_.tidy, [this] { Tidy(); });
}

void FenceFollower::OnSlotGained(uint32_t slot, LogPosition position) { Load(slot); }

void FenceFollower::OnGap(uint32_t slot, GapKind kind) { Load(slot); }

void FenceFollower::OnLoss(const SlotLoss& loss) { Load(loss.slot); }

void FenceFollower::OnChanges(LogPosition after, const LogSlice& slice) {
  bool all = true;
  for (const LogEntry& entry : slice.entries) all = Learn(entry) && all;
  if (all) return;
  lists_[slice.slot].known = false;
  LoadAfter(slice.slot, kRetry.max);
}

bool FenceFollower::AllKnown() const {
  return std::all_of(lists_.begin(), lists_.end(),
                     [](const auto& entry) { return entry.second.known; });
}

void FenceFollower::OnCaughtUp(absl::Duration at) {
  if (AllKnown() && away_ == 0) caught_up_ = at;
}

bool FenceFollower::Learn(const LogEntry& entry) {
  // The slots have entries of other namespaces, too.
  const std::optional<Fence> fence = ParseFenceKey(entry.name_space, entry.key, entry.version);
  if (!fence) return true;
  const absl::Status learned = fences_.Learn(*fence);
  if (!learned.ok()) observer_.OnClockSkew(learned);
  return learned.ok();
}

void FenceFollower::Load(uint32_t slot) {
  SlotList& slot_list = lists_[slot];
  slot_list.known = false;
  store_.ListFences(
      slot, Deadline(),
      gate_.Reply<absl::StatusOr<std::vector<LogEntry>>>(
          [this, slot, read = ++slot_list.reads](const auto& list) { Loaded(slot, read, list); }));
}

void FenceFollower::LoadAfter(uint32_t slot, absl::Duration delay) {
  if (std::exchange(lists_[slot].scheduled, true)) return;
  gate_.PostAfter(delay, [this, slot] {
    lists_[slot].scheduled = false;
    Load(slot);
  });
}

void FenceFollower::Loaded(uint32_t slot, uint64_t read,
                           const absl::StatusOr<std::vector<LogEntry>>& list) {
  if (!list.ok()) {
    observer_.OnTailError(list.status());
    const double random = std::uniform_real_distribution<double>(0, 1)(random_);
    return LoadAfter(slot, backoff_.Next(random));
  }
  backoff_.Reset();
  bool all = true;
  for (const LogEntry& entry : *list) all = Learn(entry) && all;
  // Refused: this node's clock is off. Nothing that it may cover is served before it is known.
  if (!all) return LoadAfter(slot, kRetry.max);
  SlotList& slot_list = lists_[slot];
  if (slot_list.reads == read && !slot_list.scheduled) slot_list.known = true;
  if (AllKnown()) fences_.SetKnown();
  Offer(slot, *list);
}

bool FenceFollower::Owns(uint32_t slot) const {
  const TopologyHolder::Snapshot topology = topology_.Get();
  const Member* owner = topology->OwnerOf(slot);
  return owner != nullptr && owner->id == options_.node_id;
}

void FenceFollower::Offer(uint32_t slot, const std::vector<LogEntry>& list) {
  std::map<std::pair<std::string, std::string>, Version> stored;
  for (const LogEntry& entry : list) stored[{entry.name_space, entry.key}] = entry.version;
  std::vector<L2Write> writes;
  for (const Fence& fence : fences_.List()) {
    const L2Key key = FenceKey(fence);
    if (key.slot != slot) continue;
    const auto known = stored.find({key.name_space, key.key});
    if (known == stored.end() || known->second < fence.version) writes.push_back(FenceWrite(fence));
  }
  if (writes.empty()) return;
  store_.Apply(std::move(writes), Deadline(),
               gate_.Reply<std::vector<L2WriteResult>>([this, slot](const auto& results) {
                 for (const L2WriteResult& result : results) {
                   if (result.status.ok()) continue;
                   observer_.OnTailError(result.status);
                   return LoadAfter(slot, kRetry.max);
                 }
               }));
}

void FenceFollower::Tidy() {
  gate_.PostAfter(options_.tidy, [this] { Tidy(); });
  std::map<uint32_t, std::vector<LogEntry>> superfluous;
  for (const Fence& fence : fences_.TakeGivenUp()) {
    L2Key key = FenceKey(fence);
    if (!Owns(key.slot)) continue;
    superfluous[key.slot].push_back(
        {{}, fence.version, std::move(key.name_space), std::move(key.key)});
  }
  if (superfluous.empty()) return;
  // What they were given up for must be stored before; where it is already, nothing happens.
  std::vector<L2Write> writes;
  for (const Fence& fence : fences_.List()) {
    if (fence.scope == FenceScope::kNamespace) writes.push_back(FenceWrite(fence));
  }
  store_.Apply(std::move(writes), Deadline(),
               gate_.Reply<std::vector<L2WriteResult>>(
                   [this, superfluous = std::move(superfluous)](const auto& results) {
                     for (const L2WriteResult& result : results) {
                       if (!result.status.ok()) return;  // Found again when the list is next read.
                     }
                     for (const auto& [slot, fences] : superfluous) {
                       store_.ForgetFences(slot, fences, Deadline(), [](const absl::Status&) {});
                     }
                   }));
}

}  // namespace meridian
