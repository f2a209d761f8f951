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
  for (const uint32_t slot : SortedSlots()) unread_.insert(slot);
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
  for (const LogEntry& entry : slice.entries) Learn(entry);
}

void FenceFollower::Learn(const LogEntry& entry) {
  // The slots have entries of other namespaces, too.
  const std::optional<Fence> fence = ParseFenceKey(entry.name_space, entry.key, entry.version);
  if (!fence) return;
  if (const absl::Status learned = fences_.Learn(*fence); !learned.ok()) {
    observer_.OnClockSkew(learned);
  }
}

void FenceFollower::Load(uint32_t slot) {
  store_.ListFences(slot, Deadline(),
                    gate_.Reply<absl::StatusOr<std::vector<LogEntry>>>(
                        [this, slot](const auto& list) { Loaded(slot, list); }));
}

void FenceFollower::Loaded(uint32_t slot, const absl::StatusOr<std::vector<LogEntry>>& list) {
  if (!list.ok()) {
    observer_.OnTailError(list.status());
    const double random = std::uniform_real_distribution<double>(0, 1)(random_);
    gate_.PostAfter(backoff_.Next(random), [this, slot] { Load(slot); });
    return;
  }
  backoff_.Reset();
  for (const LogEntry& entry : *list) Learn(entry);
  unread_.erase(slot);
  if (unread_.empty()) fences_.SetKnown();
  if (Owns(slot)) Offer(slot, *list);
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
                   gate_.PostAfter(kRetry.max, [this, slot] { Load(slot); });
                   return;
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
