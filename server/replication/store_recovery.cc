#include "server/replication/store_recovery.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "server/node/absence.h"
#include "server/node/limits.h"
#include "server/node/record.h"

namespace meridian {
namespace {

constexpr size_t kPageKeys = 256;
constexpr size_t kPageBytes = size_t{1} << 20;

}  // namespace

struct StoreRecovery::Page {
  std::vector<Item> items;
  std::vector<Version> stored;
  size_t next = 0;  // Of `items`.
};

StoreRecovery::StoreRecovery(StoreRecoveryOptions options, L2Store& store, Engine& engine,
                             StoredUntil stored_until, Dropped dropped, TaskGate gate,
                             const Clock& clock, ReplicationObserver& observer)
    : options_(options),
      store_(store),
      engine_(engine),
      stored_until_(std::move(stored_until)),
      dropped_(std::move(dropped)),
      gate_(std::move(gate)),
      clock_(clock),
      observer_(observer),
      walked_(kSlotCount, false),
      backoff_(options_.backoff) {}

// Its new owner may have what this node has not.
void StoreRecovery::OnSlotLost(uint32_t slot) {
  doubtful_.erase(slot);
  walked_[slot] = false;
  std::erase_if(lost_, [slot](const Item& item) { return item.key.slot == slot; });
}

void StoreRecovery::OnLoss(const SlotLoss& loss) {
  std::map<std::pair<std::string_view, std::string_view>, Version> newest;
  for (const LogEntry& entry : loss.lost) {
    // The nodes' own; fences are stored again by those who know them.
    if (IsInternalNamespace(entry.name_space)) continue;
    Version& version = newest[{entry.name_space, entry.key}];
    version = std::max(version, entry.version);
  }
  for (const auto& [key, version] : newest) {
    lost_.push_back({{loss.slot, std::string(key.first), std::string(key.second)}, version});
  }
  doubtful_.insert(loss.slot);
  if (std::exchange(running_, true)) return;
  gate_.Post([this] { Next(); });  // After the other slots that are told of now.
}

std::vector<StoreRecovery::Item> StoreRecovery::NextItems() {
  std::vector<Item> items;
  while (!lost_.empty() && items.size() < kPageKeys) {
    items.push_back(std::move(lost_.front()));
    lost_.pop_front();
  }
  if (!items.empty() || !walking_) return items;
  std::vector<ResidentKey> keys;
  walking_ = engine_.Walk(&place_, kPageKeys, walked_, clock_.Monotonic(), &keys);
  const std::vector<std::string> names = engine_.NamespaceNames();
  for (ResidentKey& key : keys) {
    const std::string& name_space = names[key.name_space - size_t{1}];
    if (IsInternalNamespace(name_space)) continue;
    items.push_back({{key.slot, name_space, std::move(key.key)}, Version()});
  }
  return items;
}

void StoreRecovery::Next() {
  if (lost_.empty() && !walking_) {
    Report();
    if (doubtful_.empty()) {
      running_ = false;
      return;
    }
    std::fill(walked_.begin(), walked_.end(), false);
    for (const uint32_t slot : doubtful_) walked_[slot] = true;
    doubtful_.clear();
    place_ = {};
    walking_ = true;
  }
  std::vector<Item> items = NextItems();
  if (items.empty()) return gate_.Post([this] { Next(); });
  Compare(std::move(items));
}

void StoreRecovery::Compare(std::vector<Item> items) {
  auto page = std::make_shared<Page>();
  page->items = std::move(items);
  std::vector<L2Key> keys;
  for (const Item& item : page->items) keys.push_back(item.key);
  store_.FetchVersions(std::move(keys), Deadline(),
                       gate_.Reply<absl::StatusOr<std::vector<Version>>>(
                           [this, page](absl::StatusOr<std::vector<Version>> versions) {
                             if (!versions.ok()) {
                               return Retry(std::move(page->items), versions.status());
                             }
                             page->stored = *std::move(versions);
                             Mend(page);
                           }));
}

// What the store must be given, nullopt when it is as new as all that is known here.
std::optional<L2Write> StoreRecovery::WriteFor(const Item& item, Version stored, bool* is_value) {
  const std::optional<NamespaceId> name_space = engine_.InternNamespace(item.key.name_space);
  Entry entry;
  bool held = false;
  absl::Duration until;
  if (name_space) {
    const EntryKey key{.name_space = *name_space,
                       .slot = item.key.slot,
                       .hash = engine_.HashOf(*name_space, item.key.key),
                       .key = item.key.key};
    held = engine_.Peek(key, clock_.Monotonic(), &entry);
    // L1 may keep a value for less long than L2: other regions have it under the same version, and
    // would not lengthen a shorter life.
    if (held) until = std::max(entry.expires_at, stored_until_(key.hash));
    const Version newest = std::max(stored, item.told);
    if (held && entry.version < newest) {
      engine_.Erase(key, JustBefore(newest));
      dropped_(item.key, newest);
      held = false;
    }
  }
  L2Write write;
  write.key = item.key;
  *is_value = held && entry.version > stored;
  Record record;
  if (*is_value) {
    const absl::Duration left = until - clock_.Monotonic();
    write.version = entry.version;
    write.expires_at = clock_.Now() + left;
    write.retention = left + kExpiryGrace;
    record.encoding = entry.encoding;
    record.raw_size = entry.raw_size;
    record.written = entry.written;
    record.tags = entry.tags.view();
    record.value = entry.value.view();
    if (IsAbsence(entry)) {
      record = Record();
      record.kind = RecordKind::kAbsent;
    }
  } else if (!held && item.told.is_set() && stored < JustBefore(item.told)) {
    write.version = JustBefore(item.told);
    write.expires_at = clock_.Now() + options_.tombstone_ttl;
    write.retention = options_.tombstone_ttl;
    record.kind = RecordKind::kTombstone;
  } else {
    return std::nullopt;
  }
  record.version = write.version;
  record.expires_at = write.expires_at;
  AppendRecord(record, &write.record);
  return write;
}

void StoreRecovery::Mend(const std::shared_ptr<Page>& page) {
  const size_t first = page->next;
  std::vector<L2Write> writes;
  std::vector<bool> are_values;
  size_t bytes = 0;
  while (page->next < page->items.size() && bytes < kPageBytes) {
    const size_t i = page->next++;
    bool is_value = false;
    std::optional<L2Write> write = WriteFor(page->items[i], page->stored[i], &is_value);
    if (!write) continue;
    bytes += write->record.size();
    writes.push_back(*std::move(write));
    are_values.push_back(is_value);
  }
  if (writes.empty()) {
    backoff_.Reset();
    return gate_.Post([this] { Next(); });
  }
  store_.Apply(std::move(writes), Deadline(),
               gate_.Reply<std::vector<L2WriteResult>>(
                   [this, page, first, are_values](const std::vector<L2WriteResult>& results) {
                     absl::Status again;
                     for (size_t i = 0; i < results.size(); ++i) {
                       const absl::Status& status = results[i].status;
                       // Unreachable or overloaded; what is refused for good stays lost.
                       if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
                           absl::IsResourceExhausted(status)) {
                         again.Update(status);
                       } else if (!status.ok()) {
                         observer_.OnTailError(status);
                       }
                       if (!status.ok() || results[i].outcome != L2WriteOutcome::kApplied) continue;
                       ++(are_values[i] ? values_ : removals_);
                     }
                     if (!again.ok()) {
                       page->items.erase(page->items.begin(),
                                         page->items.begin() + static_cast<ptrdiff_t>(first));
                       return Retry(std::move(page->items), again);
                     }
                     if (page->next < page->items.size()) return Mend(page);
                     backoff_.Reset();
                     Next();
                   }));
}

void StoreRecovery::Report() {
  if (values_ + removals_ > 0) observer_.OnRecovered(values_, removals_);
  values_ = removals_ = 0;
}

void StoreRecovery::Retry(std::vector<Item> items, const absl::Status& status) {
  observer_.OnTailError(status);
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  auto again = std::make_shared<std::vector<Item>>(std::move(items));
  gate_.PostAfter(backoff_.Next(random), [this, again] { Compare(std::move(*again)); });
}

}  // namespace meridian
