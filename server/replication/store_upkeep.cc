#include "server/replication/store_upkeep.h"

#include <algorithm>
#include <utility>

#include "common/base/hash.h"

namespace meridian {
namespace {

constexpr double kRecovery = 1.25;  // How fast protection grows back, a walk.
constexpr absl::Duration kLeastProtection = absl::Minutes(1);

}  // namespace

std::vector<LogTrim> TrimsFor(const std::map<uint32_t, LogSize>& logs, uint64_t max_bytes) {
  uint64_t left = max_bytes;
  std::vector<std::pair<uint64_t, uint32_t>> by_size;
  for (const auto& [slot, size] : logs) by_size.emplace_back(size.bytes, slot);
  std::sort(by_size.begin(), by_size.end());
  std::vector<LogTrim> trims;
  // The small ones stay as they are; the others share what they leave.
  for (size_t i = 0; i < by_size.size(); ++i) {
    const auto [bytes, slot] = by_size[i];
    const uint64_t share = left / (by_size.size() - i);
    if (bytes <= share) {
      left -= bytes;
      continue;
    }
    for (; i < by_size.size(); ++i) {
      const LogSize& log = logs.at(by_size[i].second);
      const auto fitting =
          static_cast<uint64_t>(static_cast<double>(log.entries) * static_cast<double>(share) /
                                static_cast<double>(log.bytes));
      const uint64_t entries = std::max(fitting, StoreUpkeep::kFewestEntries);
      if (entries < log.entries) trims.push_back({by_size[i].second, entries});
    }
  }
  return trims;
}

StoreUpkeep::StoreUpkeep(StoreUpkeepOptions options, L2Store& store, TaskGate gate,
                         const Clock& clock)
    : options_(options),
      store_(store),
      gate_(std::move(gate)),
      clock_(clock),
      next_walk_(clock.Monotonic()),
      protected_for_(options.tombstone_ttl) {}

void StoreUpkeep::Start() {
  Turn();
  Step();
}

void StoreUpkeep::SetOwned(std::vector<uint32_t> slots) {
  slots_ = std::move(slots);
  next_slot_ = 0;
  for (auto it = logs_.begin(); it != logs_.end();) {
    it = std::binary_search(slots_.begin(), slots_.end(), it->first) ? std::next(it)
                                                                     : logs_.erase(it);
  }
  SumLogs();
  if (Walks()) return;
  // The walk is another node's.
  from_.clear();
  walked_ = {};
  protected_bytes_ = 0;
  absl::MutexLock lock(&mu_);
  use_.tombstones = use_.tombstone_bytes = use_.tombstones_evictable = 0;
}

StoreUse StoreUpkeep::Use() const {
  absl::MutexLock lock(&mu_);
  return use_;
}

void StoreUpkeep::Turn() {
  gate_.PostAfter(kTurn, [this] { Turn(); });
  if (!slots_.empty()) MeasureLogs();
}

void StoreUpkeep::MeasureLogs() {
  std::vector<uint32_t> slots;
  for (size_t i = 0; i < std::min(kSlotsPerTurn, slots_.size()); ++i) {
    slots.push_back(slots_[next_slot_]);
    next_slot_ = (next_slot_ + 1) % slots_.size();
    if (next_slot_ == 0) TrimLogs();  // After a round: all of them are known.
  }
  store_.MeasureLogs(slots, Deadline(),
                     gate_.Reply<absl::StatusOr<std::vector<LogSize>>>(
                         [this, slots](const auto& sizes) { TakeLogs(slots, sizes); }));
}

void StoreUpkeep::TakeLogs(const std::vector<uint32_t>& slots,
                           const absl::StatusOr<std::vector<LogSize>>& sizes) {
  if (!sizes.ok()) return;  // The figures of before stay.
  for (size_t i = 0; i < slots.size(); ++i) {
    if (std::binary_search(slots_.begin(), slots_.end(), slots[i])) logs_[slots[i]] = (*sizes)[i];
  }
  SumLogs();
}

void StoreUpkeep::SumLogs() {
  absl::MutexLock lock(&mu_);
  use_.changelog_entries = use_.changelog_bytes = 0;
  for (const auto& [slot, size] : logs_) {
    use_.changelog_entries += size.entries;
    use_.changelog_bytes += size.bytes;
  }
}

void StoreUpkeep::TrimLogs() {
  const uint64_t share = options_.changelog_max_bytes / kSlotCount * slots_.size();
  std::vector<LogTrim> trims = TrimsFor(logs_, share);
  if (trims.empty()) return;
  uint64_t trimmed = 0;
  for (const LogTrim& trim : trims) trimmed += logs_[trim.slot].entries - trim.entries;
  store_.TrimLogs(std::move(trims), Deadline(),
                  gate_.Reply<absl::Status>([this, trimmed](const absl::Status& status) {
                    if (!status.ok()) return;  // The next round tries again.
                    absl::MutexLock lock(&mu_);
                    use_.changelog_trimmed += trimmed;
                  }));
}

void StoreUpkeep::Step() {
  gate_.PostAfter(kStep, [this] { Step(); });
  if (!Walks() || walking_ || clock_.Monotonic() < next_walk_) return;
  walking_ = true;
  if (from_.empty()) walk_began_ = clock_.Monotonic();
  store_.Scan(
      from_, kKeysPerStep, Deadline(),
      gate_.Reply<absl::StatusOr<L2ScanPage>>([this](const auto& page) { TakePage(page); }));
}

void StoreUpkeep::TakePage(const absl::StatusOr<L2ScanPage>& page) {
  if (!page.ok()) return Failed(page.status());
  store_.SweepTombstones(
      page->keys, protected_for_, Deadline(),
      gate_.Reply<absl::StatusOr<std::vector<TombstoneUse>>>(
          [this, next = page->next](const auto& uses) { TakeTombstones(next, uses); }));
}

void StoreUpkeep::TakeTombstones(const std::string& next,
                                 const absl::StatusOr<std::vector<TombstoneUse>>& uses) {
  if (!Walks()) return EndWalk();
  if (!uses.ok()) return Failed(uses.status());
  for (const TombstoneUse& use : *uses) {
    if (use.bytes == 0) continue;
    ++walked_.tombstones;
    walked_.tombstone_bytes += use.bytes;
    if (use.evictable) {
      ++walked_.tombstones_evictable;
    } else {
      protected_bytes_ += use.bytes;
    }
  }
  // Not only at the end of a walk, which may take hours: as if deletes came evenly, half of them
  // are older than half of the time.
  if (protected_bytes_ > options_.tombstone_max_bytes) {
    exceeded_ = true;
    protected_for_ = std::max(protected_for_ / 2, kLeastProtection);
    protected_bytes_ /= 2;
  }
  walking_ = false;
  from_ = next;
  if (!next.empty()) return;
  {
    absl::MutexLock lock(&mu_);
    use_.tombstones = walked_.tombstones;
    use_.tombstone_bytes = walked_.tombstone_bytes;
    use_.tombstones_evictable = walked_.tombstones_evictable;
  }
  JudgeWalk();
}

void StoreUpkeep::JudgeWalk() {
  const bool exceeded = exceeded_;
  const uint64_t found = protected_bytes_;
  EndWalk();
  last_walk_ = {found, clock_.Monotonic()};
  if (exceeded) {
    next_walk_ = clock_.Monotonic();  // What was found before it was known is given up now.
  } else {
    protected_for_ = std::min(protected_for_ * kRecovery, options_.tombstone_ttl);
  }
}

void StoreUpkeep::Failed(const absl::Status& status) {
  if (absl::IsAborted(status)) return EndWalk();
  walking_ = false;
  next_walk_ = clock_.Monotonic() + kRetry;
}

absl::Duration StoreUpkeep::Rest() const {
  if (exceeded_ || protected_bytes_ > options_.tombstone_max_bytes / 2) return kRest;
  const absl::Duration rest =
      std::clamp(9 * (clock_.Monotonic() - walk_began_), kRest, kLongestRest);
  if (!last_walk_ || protected_bytes_ <= last_walk_->bytes) return rest;
  const double grown = static_cast<double>(protected_bytes_ - last_walk_->bytes);
  const double left = static_cast<double>(options_.tombstone_max_bytes - protected_bytes_);
  const absl::Duration until_half = (clock_.Monotonic() - last_walk_->ended) * (left / 2 / grown);
  return std::clamp(until_half, kRest, rest);
}

void StoreUpkeep::EndWalk() {
  next_walk_ = clock_.Monotonic() + Rest();
  walking_ = false;
  from_.clear();
  walked_ = {};
  protected_bytes_ = 0;
  exceeded_ = false;
}

}  // namespace meridian
