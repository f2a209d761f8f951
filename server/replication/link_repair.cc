#include "server/replication/link_repair.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/version_before.h"
#include "server/node/fence.h"
#include "server/node/limits.h"
#include "server/replication/replicated_write.h"
#include "server/replication/write_refusal.h"

namespace meridian {
namespace {

// A silent region is asked at every 64th interval at least.
constexpr int kMaxAskDoublings = 6;

}  // namespace

LinkRepair::LinkRepair(LinkRepairOptions options, std::string own_region,
                       const std::string& target_region, L2Store& source, L2Store& target,
                       const Hearing& hearing, TaskGate gate, const Clock& clock,
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
      marks_(target_region, source, gate_, clock, options_.timeout,
             [this](SlotTicket ticket) { Add(ticket, kNoCursor); }),
      fetch_pace_({.keys = options_.fetch_keys, .timeout = options_.timeout}),
      pace_(options_.fetch_keys, options_.timeout),
      backoff_(options_.backoff) {}

void LinkRepair::Add(SlotTicket ticket, LogPosition cursor, bool memory_lost) {
  Add(ticket, cursor, memory_lost, /*fills=*/false);
}

void LinkRepair::Fill(SlotTicket ticket) {
  Add(ticket, LogPosition{}, /*memory_lost=*/false, /*fills=*/true);
}

void LinkRepair::Add(SlotTicket ticket, LogPosition cursor, bool memory_lost, bool fills) {
  withheld_.erase(ticket.slot);  // It is compared as a whole.
  Slot& slot = slots_[ticket.slot];
  if (slot.generation == ticket.generation) {
    // The oldest cursor decides whether the slot is fenced.
    cursor = std::min(cursor, slot.cursor);
    memory_lost = memory_lost || slot.memory_lost;
    fills = fills && slot.fills;
  } else {
    slot.listens_until = clock_.Monotonic() + std::min(options_.listen_for, options_.tombstone_ttl);
  }
  slot.generation = ticket.generation;
  slot.cursor = cursor;
  slot.memory_lost = memory_lost;
  slot.fills = fills;
  slot.in_pass = false;
  if (!running_) BeginPass();
}

void LinkRepair::Remove(uint32_t slot) {
  slots_.erase(slot);
  withheld_.erase(slot);
  marks_.Forget(slot);
  ForgetCompared();
}

void LinkRepair::TargetLost() {
  for (auto& [number, slot] : slots_) slot.in_pass = false;
}

LinkRepairStatus LinkRepair::Status() const {
  LinkRepairStatus status;
  status.slots = slots_.size();
  status.compared_total = compared_total_;
  status.sent_total = sent_total_;
  status.filled_total = filled_total_;
  status.mended_total = mended_total_;
  status.forgotten_total = forgotten_total_;
  status.withheld_total = withheld_total_;
  status.refused_total = refused_total_;
  status.problem = problem_;
  if (status.problem.empty()) status.problem = WaitsFor();
  return status;
}

std::string LinkRepair::WaitsFor() const {
  for (const auto& [number, slot] : slots_) {
    if (slot.listens_to.empty()) continue;
    return absl::StrCat("repair: waits until ", slot.listens_to, " has told what it has deleted");
  }
  if (withheld_.empty()) return "";
  return absl::StrCat("repair: old values of ", withheld_.size(), " slots are held back until ",
                      withheld_.begin()->second.silent, " answers");
}

void LinkRepair::BeginPass() {
  running_ = true;
  source_generation_ = source_.Generation();
  target_generation_ = target_.Generation();
  if (slots_.empty()) {  // All were lost.
    running_ = false;
    return;
  }
  for (auto& [number, slot] : slots_) {
    slot.in_pass = true;  // Unless it still listens.
    slot.withheld = false;
  }
  walk_ = Walk::kSource;
  from_.clear();
  ForgetPage();
  Hear();
}

bool LinkRepair::IsHearingOld() const {
  return TombstoneHorizon(clock_.Now(), options_.tombstone_ttl) - horizon_ >
         HorizonHolds(options_.tombstone_ttl);
}

void LinkRepair::Hear() {
  if (const absl::Status clock = clock_guard_.Check(); !clock.ok()) {
    problem_ = absl::StrCat("repair: ", std::string(clock.message()));
    return RetryLater([this] { Hear(); });
  }
  horizon_ = TombstoneHorizon(clock_.Now(), options_.tombstone_ttl);
  std::vector<uint32_t> slots;
  for (const auto& [number, slot] : slots_) {
    if (slot.in_pass) slots.push_back(number);
  }
  if (slots.empty()) return BeginPass();  // All were lost, or begin anew.
  asked_at_ = clock_.Monotonic();
  hearing_.Ask(slots, horizon_, options_.timeout,
               [this](Hearing::Answer answer) { Heard(std::move(answer)); });
}

void LinkRepair::Heard(Hearing::Answer answer) {
  untold_ = std::move(answer.changed);
  bool any = false;
  for (auto& [number, slot] : slots_) {
    if (!slot.in_pass) continue;  // Added since.
    if (answer.later.count(number) > 0) {
      slot.in_pass = false;
      continue;
    }
    const auto unheard = answer.unheard.find(number);
    const bool listens = unheard != answer.unheard.end() && clock_.Monotonic() < slot.listens_until;
    if (listens) {
      slot.in_pass = false;
      slot.listens_to = unheard->second;
      continue;
    }
    any = true;
    slot.listens_to.clear();
    const auto unknown = answer.unknown.find(number);
    slot.doubt = slot.memory_lost || unheard != answer.unheard.end() ? Doubt::kNotTold
                 : unknown != answer.unknown.end()                   ? Doubt::kNobodyAnswers
                                                                     : Doubt::kNone;
    slot.silent = unknown != answer.unknown.end() ? unknown->second : "";
  }
  if (any) return ReadPage(/*heard_now=*/true);
  const absl::Duration took = clock_.Monotonic() - asked_at_;
  gate_.PostAfter(std::clamp(10 * took, options_.listen_interval, 5 * options_.listen_interval),
                  [this] { BeginPass(); });
}

void LinkRepair::AskAgain() {
  std::map<std::string, uint32_t> silent;
  for (const auto& [slot, withheld] : withheld_) silent[withheld.silent] = slot;
  asks_again_ = !silent.empty();
  if (!asks_again_) return;
  ++asks_;
  for (const auto& [region, slot] : silent) {
    // One that answers this, but never the comparison itself (a dead server of its cluster), must
    // not have its slots walked through all the time.
    const int doublings = std::min(compared_again_[region], kMaxAskDoublings);
    if (asks_ % (uint64_t{1} << doublings) != 0) continue;
    hearing_.AskAnswers(region, slot, options_.timeout, [this, region = region](bool answers) {
      if (answers) Answers(region);
    });
  }
  AskAgainLater();
}

// Soon at first: most calls that are not answered are so by chance.
void LinkRepair::AskAgainLater() {
  const absl::Duration wait = absl::Seconds(1) * (1 << std::min<uint64_t>(asks_, 10));
  gate_.PostAfter(std::min(wait, options_.ask_again_interval), [this] { AskAgain(); });
}

void LinkRepair::Answers(const std::string& region) {
  std::vector<SlotTicket> again;
  for (const auto& [slot, withheld] : withheld_) {
    if (withheld.silent == region) again.push_back({slot, withheld.generation});
  }
  if (again.empty()) return;
  ++compared_again_[region];
  for (const SlotTicket& ticket : again) {
    Add(ticket, kNoCursor);
    slots_[ticket.slot].silent = region;
  }
}

void LinkRepair::ForgetCompared() {
  for (auto it = compared_again_.begin(); it != compared_again_.end();) {
    const auto waits = [&](const auto& slot) { return slot.second.silent == it->first; };
    const bool any = std::any_of(slots_.begin(), slots_.end(), waits) ||
                     std::any_of(withheld_.begin(), withheld_.end(), waits);
    it = any ? std::next(it) : compared_again_.erase(it);
  }
}

void LinkRepair::BeginWalk(Walk walk) {
  walk_ = walk;
  walked_generation_ = target_.Generation();
  from_.clear();
  ForgetPage();
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

void LinkRepair::ReadPage(bool heard_now) {
  if (slots_.empty()) {  // All were lost.
    running_ = false;
    return;
  }
  const bool any_in_pass = std::any_of(slots_.begin(), slots_.end(),
                                       [](const auto& slot) { return slot.second.in_pass; });
  if (!any_in_pass) return BeginPass();  // All begin anew.
  // A page for each time that was asked, however long that took: the margin is longer still.
  if (!heard_now && IsHearingOld()) return Hear();
  L2Store& store = walk_ == Walk::kSource ? source_ : target_;
  store.Scan(from_, options_.page_keys, Deadline(),
             gate_.Reply<absl::StatusOr<L2ScanPage>>([this](absl::StatusOr<L2ScanPage> scanned) {
               if (SourceWentBack()) return BeginPass();
               if (walk_ == Walk::kTarget && target_.Generation() != walked_generation_) {
                 return BeginWalk(Walk::kTarget);
               }
               if (!scanned.ok()) return ScanFailed(scanned.status());
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
    if (!there.ok()) return TargetFailed(there.status());
    compared_total_ += page->keys.size();
    for (size_t i = 0; i < page->keys.size(); ++i) {
      if (IsLeftOut(page->keys[i])) continue;
      // Where no values are sent, there is nothing to drop in a hole.
      if (!(*there)[i].is_set() && !SendsValues(page->keys[i])) continue;
      const bool send =
          walk_ == Walk::kSource
              ? SendsFromSource(page->keys[i], page->here[i], (*there)[i], &page->to_forget)
              : !page->here[i].is_set() && (*there)[i].is_set() && (*there)[i].time() < horizon_ &&
                    !IsFenceNamespace(page->keys[i].name_space);
      if (send) page->to_send.push_back(i);
    }
    ForgetNext(page);
  };
  source_.FetchVersions(
      page->keys, Deadline(), gate_.Reply<Versions>([this, page, compare](Versions here) {
        if (SourceWentBack()) return BeginPass();  // What is missing now may never have been away.
        if (!here.ok()) return SourceFailed(here.status());
        page->here = *std::move(here);
        target_.FetchVersions(page->keys, Deadline(), gate_.Reply<Versions>(compare));
      }));
}

// What is newer here, unless it may have been deleted over there and forgotten since.
bool LinkRepair::SendsFromSource(const L2Key& key, Version here, Version there,
                                 std::vector<Forgotten>* to_forget) {
  if (here <= there) return false;
  if (IsFenceNamespace(key.name_space)) return true;  // Fences are never deleted, however old.
  if (there.is_set() || here.time() >= horizon_) return true;
  const auto slot = slots_.find(key.slot);
  if (slot == slots_.end()) return false;  // Lost meanwhile.
  if (std::optional<Forgotten> overtaken = OvertakenBy(key, here)) {
    to_forget->push_back(*std::move(overtaken));
    return false;
  }
  switch (slot->second.doubt) {
    case Doubt::kNone:
      return true;
    case Doubt::kNotTold:
      to_forget->push_back({key, Fence()});
      return false;
    case Doubt::kNobodyAnswers:
      ++withheld_total_;
      slot->second.withheld = true;
      return false;
  }
  return false;
}

// Older than what was named, which may be a value that is alive elsewhere and on its way. This
// region's word if it has one that is new enough, because that is passed on.
std::optional<LinkRepair::Forgotten> LinkRepair::OvertakenBy(const L2Key& key, Version here) const {
  const Version named = untold_.NewestOf(key);
  if (named <= here) return std::nullopt;
  return Forgotten{key, DropBetween(here, named, RegionId(own_region_))};
}

// As changes of this region: every region drops what it has of the key that is older.
void LinkRepair::ForgetNext(const std::shared_ptr<Page>& page) {
  if (page->forgotten == page->to_forget.size()) return SendNext(page);
  const size_t count = IsAlone() ? size_t{1} : page->to_forget.size() - page->forgotten;
  std::vector<L2Write> writes;
  for (size_t i = 0; i < count; ++i) {
    const Forgotten& forgotten = page->to_forget[page->forgotten + i];
    writes.push_back(DropUpTo(forgotten.key, forgotten.up_to, clock_.Now()));
  }
  page->forgotten += count;
  const L2Key last = writes.back().key;
  source_.Apply(std::move(writes), Deadline(),
                gate_.Reply<std::vector<L2WriteResult>>(
                    [this, page, last](const std::vector<L2WriteResult>& results) {
                      const auto next = [this, page] { ForgetNext(page); };
                      Applied(/*own=*/true, last, Count(results, &forgotten_total_), next,
                              [this, next] {
                                ++refused_total_;
                                next();
                              });
                    }));
}

void LinkRepair::SendNext(const std::shared_ptr<Page>& page) {
  if (!refused_.empty()) return DropRefused(page);
  if (page->sent == page->to_send.size()) return FinishPage(*page);
  size_t count = IsAlone() ? size_t{1} : pace_.window();
  if (walk_ == Walk::kSource) count = std::min(count, fetch_pace_.Room());
  count = std::min(count, page->to_send.size() - page->sent);
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
    for (const L2Key& key : keys) writes.push_back(DropUpTo(key, Fence(), now));
    return Apply(page, std::move(writes));
  }
  const uint64_t round = fetch_pace_.Sent(count);
  source_.FetchFromPrimary(
      keys, clock_.Now() + fetch_pace_.Timeout(count),
      gate_.Reply<std::vector<L2Record>>(
          [this, page, keys, versions, round](const std::vector<L2Record>& records) {
            fetch_pace_.Answered(round, records);
            Fetched(page, keys, versions, records);
          }));
}

void LinkRepair::Fetched(const std::shared_ptr<Page>& page, const std::vector<L2Key>& keys,
                         const std::vector<Version>& versions,
                         const std::vector<L2Record>& records) {
  if (SourceWentBack()) return BeginPass();
  bool refused = false;
  bool overloaded = false;
  for (const L2Record& record : records) {
    if (record.status.ok() || IsAboutTheWrite(record.status)) continue;
    if (!absl::IsResourceExhausted(record.status)) return SourceFailed(record.status);
    refused = true;
    overloaded = overloaded || IsOverload(record.status);
  }
  // Refused for the size of the answer or for the load: only what is refused alone, and again and
  // again, and not for the load, is refused for its own size.
  if (refused && (overloaded || keys.size() > 1 || ++refused_alone_ < kMaxRefusals)) {
    page->sent -= keys.size();
    fetch_pace_.Refused(keys.size());
    problem_ = "repair: own store: refuses to answer so many records at once";
    return RetryLater([this, page] { return IsHearingOld() ? ReadPage() : SendNext(page); });
  }
  refused_alone_ = 0;
  const absl::Time now = clock_.Now();
  std::vector<L2Write> writes;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!SendsValues(keys[i])) {
      writes.push_back(DropUpTo(keys[i], versions[i], now));
      continue;
    }
    absl::StatusOr<L2Write> write =
        ReplicatedWrite(keys[i], records[i].record.view(), now, options_.tombstone_ttl);
    if (!records[i].status.ok()) ++refused_total_;
    // What cannot be sent (too large for a reply, forgotten meanwhile, no record) still overtakes
    // what is older over there.
    writes.push_back(write.ok() ? *std::move(write)
                                : DropOlderThan(keys[i], versions[i], now,
                                                KeepOfDrop(false, options_.tombstone_ttl)));
  }
  Apply(page, std::move(writes));
}

// All of it together: a key that is left out, and of which no drop waits any more, would be taken
// for mended.
void LinkRepair::ForgetPage() {
  refused_alone_ = 0;
  page_refusals_ = 0;
  alone_refusals_.clear();
  left_out_.clear();
  refused_.clear();
}

void LinkRepair::FinishPage(const Page& page) {
  problem_.clear();
  ForgetPage();
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

std::map<uint32_t, bool> LinkRepair::WrongMarks() const {
  std::map<uint32_t, bool> wrong;
  for (const auto& [number, slot] : slots_) {
    if (!slot.in_pass || marks_.Says(number, slot.withheld)) continue;
    // A slot that never had a mark needs none.
    if (slot.withheld || marks_.Says(number, true)) wrong[number] = slot.withheld;
  }
  return wrong;
}

void LinkRepair::FinishPass() {
  if (const std::map<uint32_t, bool> wrong = WrongMarks(); !wrong.empty()) {
    return marks_.Set(wrong, [this](const absl::Status& status) {
      if (status.ok()) return FinishPass();
      problem_ = absl::StrCat("repair: own store: ", status.ToString());
      RetryLater([this] { FinishPass(); });
    });
  }
  running_ = false;
  untold_ = {};
  std::vector<SlotTicket> mended;
  for (auto it = slots_.begin(); it != slots_.end();) {
    // What it was sent may be gone.
    const bool lost = target_.GenerationOf(it->first) > target_generation_;
    if (lost || !it->second.in_pass) {
      ++it;
      continue;
    }
    mended.push_back({it->first, it->second.generation});
    if (it->second.withheld) {
      withheld_[it->first] = {it->second.generation, it->second.silent};
    }
    it = slots_.erase(it);
  }
  mended_total_ += mended.size();
  ForgetCompared();
  if (!withheld_.empty() && !std::exchange(asks_again_, true)) {
    asks_ = 0;
    AskAgainLater();
  }
  if (!slots_.empty()) BeginPass();
  for (const SlotTicket& ticket : mended) mended_(ticket);
}

void LinkRepair::SourceFailed(const absl::Status& status) {
  problem_ = absl::StrCat("repair: own store: ", status.ToString());
  RetryLater([this] { ReadPage(); });
}

void LinkRepair::TargetFailed(const absl::Status& status) {
  problem_ = absl::StrCat("repair: target: ", status.ToString());
  RetryLater([this] { ReadPage(); });
}

void LinkRepair::ScanFailed(const absl::Status& status) {
  // Keys may have moved to where the walk has been.
  if (absl::IsAborted(status)) {
    from_.clear();
    ForgetPage();
  }
  return walk_ == Walk::kSource ? SourceFailed(status) : TargetFailed(status);
}

void LinkRepair::RetryLater(Executor::Task next) {
  const double random = std::uniform_real_distribution<double>(0, 1)(random_);
  gate_.PostAfter(backoff_.Next(random), std::move(next));
}

}  // namespace meridian
