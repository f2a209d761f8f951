#include "server/replication/link_repair.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/replication/replicated_write.h"

namespace meridian {
namespace {

// A record that is refused alone so often is refused for its size, not for the store's load.
constexpr int kMaxRefusals = 5;

}  // namespace

// Keys of one page that are in a slot of the pass, on their way.
struct LinkRepair::Page {
  size_t walked = 0;  // Keys of the page, wanted or not: what the rate counts.
  std::string next;
  std::vector<L2Key> keys;
  std::vector<Version> here;
  std::vector<size_t> to_send;   // Of `keys`.
  std::vector<L2Key> to_forget;  // Here.
  size_t sent = 0;               // Of `to_send`.
  size_t open = 0;               // Calls to the target under way.
  absl::Status failure;          // Of one of them.
};

LinkRepair::LinkRepair(LinkRepairOptions options, std::string own_region, L2Store& source,
                       L2Store& target, const Hearing& hearing, TaskGate gate, const Clock& clock,
                       const ClockGuard& clock_guard, ModeOf mode_of, Mended mended)
    : options_(options),
      own_region_(std::move(own_region)),
      source_(source),
      target_(target),
      hearing_(hearing),
      gate_(std::move(gate)),
      clock_(clock),
      clock_guard_(clock_guard),
      mode_of_(std::move(mode_of)),
      mended_(std::move(mended)),
      fetch_limit_(options_.fetch_keys),
      backoff_(options_.backoff) {}

void LinkRepair::Add(SlotTicket ticket, LogPosition cursor, bool memory_lost) {
  Slot& slot = slots_[ticket.slot];
  if (slot.generation == ticket.generation) {
    // The oldest cursor decides whether the slot is fenced.
    cursor = std::min(cursor, slot.cursor);
    memory_lost = memory_lost || slot.memory_lost;
  } else {
    slot.listens_until = clock_.Monotonic() + std::min(options_.listen_for, options_.tombstone_ttl);
  }
  slot.generation = ticket.generation;
  slot.cursor = cursor;
  slot.memory_lost = memory_lost;
  slot.in_pass = false;
  if (!running_) BeginPass();
}

void LinkRepair::Remove(uint32_t slot) { slots_.erase(slot); }

LinkRepairStatus LinkRepair::Status() const {
  LinkRepairStatus status;
  status.slots = slots_.size();
  status.compared_total = compared_total_;
  status.sent_total = sent_total_;
  status.mended_total = mended_total_;
  status.forgotten_total = forgotten_total_;
  status.withheld_total = withheld_total_;
  status.problem = problem_;
  return status;
}

void LinkRepair::BeginPass() {
  running_ = true;
  again_ = false;
  if (slots_.empty()) {  // All were lost.
    running_ = false;
    return;
  }
  if (const absl::Status clock = clock_guard_.Check(); !clock.ok()) {
    problem_ = absl::StrCat("repair: ", std::string(clock.message()));
    return RetryLater([this] { BeginPass(); });
  }
  horizon_ = TombstoneHorizon(clock_.Now(), options_.tombstone_ttl);
  std::vector<uint32_t> slots;
  for (auto& [number, slot] : slots_) {
    slot.in_pass = true;  // Unless it still listens.
    slots.push_back(number);
  }
  hearing_.Ask(slots, horizon_, options_.timeout,
               [this](const Hearing::Answer& answer) { Heard(answer); });
}

void LinkRepair::Heard(const Hearing::Answer& answer) {
  bool any = false;
  for (auto& [number, slot] : slots_) {
    if (!slot.in_pass) continue;  // Added since.
    const auto unheard = answer.unheard.find(number);
    const bool listens = unheard != answer.unheard.end() && clock_.Monotonic() < slot.listens_until;
    if (listens) {
      slot.in_pass = false;
      problem_ =
          absl::StrCat("repair: waits until ", unheard->second, " has told what it has deleted");
      continue;
    }
    any = true;
    slot.doubt = slot.memory_lost || unheard != answer.unheard.end() ? Doubt::kNotTold
                 : answer.unknown.count(number) > 0                  ? Doubt::kNobodyAnswers
                                                                     : Doubt::kNone;
  }
  if (any) return BeginWalk(Walk::kSource);
  gate_.PostAfter(options_.listen_interval, [this] { BeginPass(); });
}

void LinkRepair::BeginWalk(Walk walk) {
  walk_ = walk;
  from_.clear();
  ReadPage();
}

// Newer than everything that may have been deleted without a trace.
Version LinkRepair::Fence() const {
  return {static_cast<uint64_t>(absl::ToUnixMillis(horizon_)) << 16, RegionId(own_region_)};
}

// A region that never had anything of ours has nothing to fence.
bool LinkRepair::IsFenced(const Slot& slot) const {
  return slot.cursor.ms != 0 &&
         absl::FromUnixMillis(static_cast<int64_t>(slot.cursor.ms)) < horizon_;
}

bool LinkRepair::NeedsFence() const {
  return std::any_of(slots_.begin(), slots_.end(), [this](const auto& entry) {
    return entry.second.in_pass && IsFenced(entry.second);
  });
}

void LinkRepair::ReadPage() {
  if (slots_.empty()) {  // All were lost.
    running_ = false;
    return;
  }
  L2Store& store = walk_ == Walk::kSource ? source_ : target_;
  store.Scan(from_, options_.page_keys, Deadline(),
             gate_.Reply<absl::StatusOr<L2ScanPage>>([this](absl::StatusOr<L2ScanPage> scanned) {
               if (!scanned.ok()) {
                 if (walk_ == Walk::kSource) return SourceFailed(scanned.status());
                 from_.clear();
                 return TargetFailedHere(scanned.status());
               }
               auto page = std::make_shared<Page>();
               page->walked = scanned->keys.size();
               page->next = std::move(scanned->next);
               for (L2Key& key : scanned->keys) {
                 const auto it = slots_.find(key.slot);
                 if (it == slots_.end() || !it->second.in_pass ||
                     mode_of_(key.name_space) == ReplicationMode::kLocal) {
                   continue;
                 }
                 if (walk_ == Walk::kTarget && !IsFenced(it->second)) continue;
                 page->keys.push_back(std::move(key));
               }
               Compare(page);
             }));
}

void LinkRepair::Compare(const std::shared_ptr<Page>& page) {
  if (page->keys.empty()) return FinishPage(*page);
  using Versions = absl::StatusOr<std::vector<Version>>;
  const auto compare = [this, page](const Versions& there) {
    if (!there.ok()) return TargetFailedHere(there.status());
    compared_total_ += page->keys.size();
    for (size_t i = 0; i < page->keys.size(); ++i) {
      // Where no values are sent, there is nothing to drop in a hole.
      if (!(*there)[i].is_set() && !SendsValues(page->keys[i])) continue;
      const bool send =
          walk_ == Walk::kSource
              ? SendsFromSource(page->keys[i], page->here[i], (*there)[i], &page->to_forget)
              : !page->here[i].is_set() && (*there)[i].is_set() && (*there)[i].time() < horizon_;
      if (send) page->to_send.push_back(i);
    }
    Forget(page);
  };
  source_.FetchVersions(
      page->keys, Deadline(), gate_.Reply<Versions>([this, page, compare](Versions here) {
        if (!here.ok()) return SourceFailed(here.status());
        page->here = *std::move(here);
        target_.FetchVersions(page->keys, Deadline(), gate_.Reply<Versions>(compare));
      }));
}

// What is newer here, unless it may have been deleted over there and forgotten since.
bool LinkRepair::SendsFromSource(const L2Key& key, Version here, Version there,
                                 std::vector<L2Key>* to_forget) {
  if (here <= there) return false;
  if (there.is_set() || here.time() >= horizon_) return true;
  const auto slot = slots_.find(key.slot);
  const Doubt doubt = slot == slots_.end() ? Doubt::kNobodyAnswers : slot->second.doubt;
  if (doubt == Doubt::kNotTold) to_forget->push_back(key);
  if (doubt == Doubt::kNobodyAnswers) ++withheld_total_;
  return doubt == Doubt::kNone;
}

// As a change of this region: every region drops what it has of the key from before the horizon.
void LinkRepair::Forget(const std::shared_ptr<Page>& page) {
  if (page->to_forget.empty()) return SendNext(page);
  std::vector<L2Write> writes;
  for (const L2Key& key : page->to_forget) {
    writes.push_back(DropOlderThan(key, Fence(), clock_.Now()));
  }
  source_.Apply(std::move(writes), Deadline(),
                gate_.Reply<std::vector<L2WriteResult>>(
                    [this, page](const std::vector<L2WriteResult>& results) {
                      for (const L2WriteResult& result : results) {
                        // A key of a foreign type stays as it is; anything else may pass.
                        if (!result.status.ok() && !absl::IsFailedPrecondition(result.status)) {
                          return SourceFailed(result.status);
                        }
                        if (result.status.ok() && result.outcome == L2WriteOutcome::kApplied) {
                          ++forgotten_total_;
                        }
                      }
                      SendNext(page);
                    }));
}

void LinkRepair::SendNext(const std::shared_ptr<Page>& page) {
  if (page->sent == page->to_send.size()) return FinishPage(*page);
  const size_t count = std::min(fetch_limit_, page->to_send.size() - page->sent);
  std::vector<L2Key> keys;
  std::vector<Version> versions;
  for (size_t i = 0; i < count; ++i) {
    keys.push_back(page->keys[page->to_send[page->sent + i]]);
    versions.push_back(page->here[page->to_send[page->sent + i]]);
  }
  page->sent += count;
  if (walk_ == Walk::kTarget) {
    const absl::Time now = clock_.Now();
    std::vector<L2Write> writes;
    for (const L2Key& key : keys) writes.push_back(DropOlderThan(key, Fence(), now));
    return Apply(page, std::move(writes));
  }
  source_.Fetch(keys, Deadline(),
                gate_.Reply<std::vector<L2Record>>(
                    [this, page, keys, versions](const std::vector<L2Record>& records) {
                      Fetched(page, keys, versions, records);
                    }));
}

void LinkRepair::Fetched(const std::shared_ptr<Page>& page, const std::vector<L2Key>& keys,
                         const std::vector<Version>& versions,
                         const std::vector<L2Record>& records) {
  bool refused = false;
  for (const L2Record& record : records) {
    if (record.status.ok()) continue;
    if (!absl::IsResourceExhausted(record.status)) return SourceFailed(record.status);
    refused = true;
  }
  // Refused for the size of the answer or for the load of the store: only what is refused alone,
  // and again and again, is refused for its own size.
  if (refused && (keys.size() > 1 || ++refused_alone_ < kMaxRefusals)) {
    page->sent -= keys.size();
    fetch_limit_ = std::max<size_t>(1, keys.size() / 4);
    problem_ = "repair: own store: refuses to answer so many records at once";
    return RetryLater([this, page] { SendNext(page); });
  }
  refused_alone_ = 0;
  fetch_limit_ = std::min(options_.fetch_keys, fetch_limit_ * 2);
  const absl::Time now = clock_.Now();
  std::vector<L2Write> writes;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!SendsValues(keys[i])) {
      writes.push_back(DropOlderThan(keys[i], versions[i], now));
      continue;
    }
    absl::StatusOr<L2Write> write =
        ReplicatedWrite(keys[i], records[i].record.view(), now, options_.tombstone_ttl);
    // What cannot be sent (too large for a reply, forgotten meanwhile, no record) still overtakes
    // what is older over there.
    writes.push_back(write.ok() ? *std::move(write) : DropOlderThan(keys[i], versions[i], now));
  }
  Apply(page, std::move(writes));
}

// One call a slot; the cursor stays where it is.
void LinkRepair::Apply(const std::shared_ptr<Page>& page, std::vector<L2Write> writes) {
  std::map<uint32_t, std::vector<L2Write>> by_slot;
  for (L2Write& write : writes) by_slot[write.key.slot].push_back(std::move(write));
  if (by_slot.empty()) return SendNext(page);
  page->open = by_slot.size();
  for (auto& [slot, group] : by_slot) {
    target_.ApplyReplicated(
        own_region_, slot, LogPosition{}, std::move(group), Deadline(),
        gate_.Reply<std::vector<L2WriteResult>>(
            [this, page](const std::vector<L2WriteResult>& results) {
              for (const L2WriteResult& result : results) {
                // A key of a foreign type over there stays as it is; anything else may pass.
                if (!result.status.ok() && !absl::IsFailedPrecondition(result.status)) {
                  page->failure.Update(result.status);
                } else if (result.status.ok() && result.outcome == L2WriteOutcome::kApplied) {
                  ++sent_total_;
                }
              }
              if (--page->open > 0) return;
              if (!page->failure.ok()) return TargetFailedHere(page->failure);
              SendNext(page);
            }));
  }
}

void LinkRepair::FinishPage(const Page& page) {
  problem_.clear();
  backoff_.Reset();
  from_ = page.next;
  const bool last = from_.empty();
  const absl::Duration pause =
      absl::Seconds(static_cast<double>(page.walked) / options_.keys_per_second);
  gate_.PostAfter(pause, [this, last] {
    if (!last) return ReadPage();
    if (walk_ == Walk::kSource && NeedsFence()) return BeginWalk(Walk::kTarget);
    FinishPass();
  });
}

void LinkRepair::FinishPass() {
  running_ = false;
  std::vector<SlotTicket> mended;
  for (auto it = slots_.begin(); it != slots_.end();) {
    if (again_ || !it->second.in_pass) {
      ++it;
      continue;
    }
    mended.push_back({it->first, it->second.generation});
    it = slots_.erase(it);
  }
  mended_total_ += mended.size();
  if (!slots_.empty()) BeginPass();
  for (const SlotTicket& ticket : mended) mended_(ticket);
}

void LinkRepair::SourceFailed(const absl::Status& status) {
  problem_ = absl::StrCat("repair: own store: ", status.ToString());
  walk_ = Walk::kSource;
  from_.clear();
  RetryLater([this] { ReadPage(); });
}

void LinkRepair::TargetFailedHere(const absl::Status& status) {
  problem_ = absl::StrCat("repair: target: ", status.ToString());
  again_ = true;
  RetryLater([this] { ReadPage(); });
}

void LinkRepair::RetryLater(Executor::Task next) {
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), std::move(next));
}

}  // namespace meridian
