#include "server/replication/changelog_tail.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/node/limits.h"

namespace meridian {
namespace {

// Slots that are examined together, so that an answer stays small.
constexpr size_t kExamined = 64;

// Of each: what is remembered, and the entry before it.
constexpr size_t kExaminedEntries = ChangelogTail::kRemembered + 1;

// A read after this begins with the entry at `position`.
LogPosition Before(LogPosition position) {
  if (position.sequence > 0) return {position.ms, position.sequence - 1};
  if (position.ms > 0) return {position.ms - 1, std::numeric_limits<uint64_t>::max()};
  return {};
}

size_t NameBytes(const LogEntry& entry) { return entry.name_space.size() + entry.key.size(); }

// What nodes tell themselves is nobody's loss.
size_t CountUsers(const std::vector<LogEntry>& entries) {
  return static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](const LogEntry& entry) { return !IsInternalNamespace(entry.name_space); }));
}

}  // namespace

ChangelogTail::ChangelogTail(ChangelogTailOptions options, L2Store& store, TaskGate gate,
                             const Clock& clock, ReplicationObserver& observer,
                             std::vector<ChangeSink*> sinks)
    : options_(options),
      store_(store),
      gate_(std::move(gate)),
      clock_(clock),
      observer_(observer),
      sinks_(std::move(sinks)),
      store_generation_(store.Generation()),
      read_limit_(options.read_limit),
      last_answer_(clock.Monotonic()),
      poll_backoff_(options.backoff),
      start_backoff_(options.backoff) {}

void ChangelogTail::Start() {
  last_answer_ = clock_.Monotonic();
  Poll();
}

void ChangelogTail::SetOwned(const std::vector<uint32_t>& slots) {
  for (auto it = slots_.begin(); it != slots_.end();) {
    if (std::binary_search(slots.begin(), slots.end(), it->first)) {
      ++it;
      continue;
    }
    if (it->second.told_away) --told_away_;
    for (ChangeSink* sink : sinks_) sink->OnSlotLost(it->first);
    it = slots_.erase(it);
  }
  for (const uint32_t slot : slots) {
    const auto [it, is_new] = slots_.try_emplace(slot);
    if (is_new) it->second.generation = next_generation_++;
  }
  FindStarts();
}

size_t ChangelogTail::followed() const {
  return static_cast<size_t>(std::count_if(
      slots_.begin(), slots_.end(), [](const auto& entry) { return entry.second.followed; }));
}

ChangelogTail::Slot* ChangelogTail::Find(const Asked& asked) {
  const auto it = slots_.find(asked.slot);
  if (it == slots_.end() || it->second.generation != asked.generation) return nullptr;
  return &it->second;
}

std::vector<ChangelogTail::Asked> ChangelogTail::Followed() const {
  std::vector<Asked> asked;
  asked.reserve(slots_.size());
  for (const auto& [number, slot] : slots_) {
    if (slot.followed && !IsAway(number)) {
      asked.push_back({number, slot.generation, slot.position});
    }
  }
  return asked;
}

// --- The first position of gained slots.

void ChangelogTail::FindStarts() {
  if (finding_starts_) return;
  std::vector<Asked> asked;
  std::vector<uint32_t> numbers;
  for (const auto& [number, slot] : slots_) {
    if (slot.followed || IsAway(number)) continue;
    asked.push_back({number, slot.generation, {}});
    numbers.push_back(number);
  }
  if (asked.empty()) return;
  finding_starts_ = true;
  store_.LogEnds(std::move(numbers), Deadline(),
                 gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                     [this, asked = std::move(asked)](const auto& ends) { Begin(asked, ends); }));
}

void ChangelogTail::Begin(const std::vector<Asked>& asked,
                          const absl::StatusOr<std::vector<LogPosition>>& ends) {
  finding_starts_ = false;
  if (ends.ok() && NoteGeneration()) return FindStarts();
  if (!ends.ok()) {
    observer_.OnTailError(ends.status());
    gate_.PostAfter(start_backoff_.Next(Random()), [this] { FindStarts(); });
    return;
  }
  start_backoff_.Reset();
  for (size_t i = 0; i < asked.size(); ++i) {
    Slot* slot = Find(asked[i]);
    if (slot == nullptr) continue;
    slot->followed = true;
    slot->position = slot->base = (*ends)[i];
    for (ChangeSink* sink : sinks_) sink->OnSlotGained(asked[i].slot, slot->position);
  }
  ForgetCount();
  FindStarts();  // Slots gained meanwhile.
}

// --- The polls.

void ChangelogTail::PollAfter(absl::Duration delay) {
  gate_.PostAfter(delay, [this, poll = ++next_poll_] {
    if (poll == next_poll_) Poll();
  });
}

// As PollAfter, unless somebody waits.
void ChangelogTail::PollSoon(absl::Duration delay) {
  if (std::exchange(nudged_, false)) delay = absl::ZeroDuration();
  resting_ = delay > absl::ZeroDuration();
  PollAfter(delay);
}

void ChangelogTail::Nudge() {
  if (std::exchange(resting_, false)) {
    PollAfter(absl::ZeroDuration());
  } else {
    nudged_ = true;
  }
}

void ChangelogTail::Poll() {
  resting_ = false;
  NoteAway();
  std::vector<Asked> asked = Followed();
  const absl::Duration now = clock_.Monotonic();
  if (asked.empty()) {
    last_answer_ = now;
    suspect_ = false;
    PollSoon(options_.idle_interval);
    return;
  }
  if (now - last_answer_ > options_.stall) suspect_ = true;
  NoteGeneration();
  if (Examine()) return;
  if (suspect_) {
    CheckEnds(std::move(asked));
  } else {
    ReadIfChanged(std::move(asked), now);
  }
}

void ChangelogTail::ReadIfChanged(std::vector<Asked> asked, absl::Duration polled) {
  store_.ChangeCount(
      Deadline(), gate_.Reply<absl::StatusOr<uint64_t>>([this, asked = std::move(asked), polled](
                                                            const absl::StatusOr<uint64_t>& count) {
        if (!count.ok()) return Failed(count.status());
        if (NoteGeneration()) return Poll();
        if (*count != 0 && *count == read_count_) {
          Tell(asked, {}, read_limit_, polled);
        } else {
          Read(asked, *count, polled);
        }
      }));
}

void ChangelogTail::Read(std::vector<Asked> asked, uint64_t count, absl::Duration polled) {
  std::vector<LogRead> reads;
  reads.reserve(asked.size());
  for (const Asked& ask : asked) reads.push_back({ask.slot, ask.position});
  const auto question = std::make_shared<const Question>(
      Question{std::move(asked), read_limit_, count, polled, reset_reads_});
  store_.ReadLogs(std::move(reads), read_limit_, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, question](const absl::StatusOr<std::vector<LogSlice>>& slices) {
                        if (!slices.ok()) return ReadFailed(slices.status());
                        if (NoteGeneration()) return Poll();
                        read_limit_ =
                            std::min(options_.read_limit, read_limit_ + read_limit_ / 8 + 1);
                        TakeAnswer(question, *slices);
                      }));
}

const ChangelogTail::Asked* ChangelogTail::FindAsked(const std::vector<Asked>& asked,
                                                     uint32_t slot) {
  const auto ask = std::lower_bound(
      asked.begin(), asked.end(), slot,
      [](const Asked& candidate, uint32_t number) { return candidate.slot < number; });
  return ask == asked.end() || ask->slot != slot ? nullptr : &*ask;
}

// A log keeps log_entries at least: with fewer than that behind our position, it is in there still,
// or was the last that left. With as many, changes between it and the first may be gone.
std::vector<ChangelogTail::Asked> ChangelogTail::Doubtful(
    const Question& question, const std::vector<LogSlice>& slices) const {
  std::vector<Asked> doubtful;
  for (const LogSlice& slice : slices) {
    if (slice.entries.size() < std::min(question.limit, options_.log_entries)) continue;
    const Asked* ask = FindAsked(question.asked, slice.slot);
    if (ask == nullptr) continue;
    // Nothing was there before: only as many as the log keeps say that there were more.
    if (ask->position == LogPosition{} && slice.entries.size() < options_.log_entries) continue;
    doubtful.push_back(*ask);
  }
  return doubtful;
}

void ChangelogTail::TakeAnswer(const std::shared_ptr<const Question>& question,
                               const std::vector<LogSlice>& slices) {
  std::vector<Asked> doubtful = Doubtful(*question, slices);
  if (doubtful.empty()) return TellAnswer(*question, slices);
  std::vector<LogRead> reads;
  for (const Asked& ask : doubtful) reads.push_back({ask.slot, LogPosition{}});
  // Asked after the read: what began at our position or before it then, did so when it was read.
  store_.ReadLogs(std::move(reads), 1, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, question, slices, doubtful = std::move(doubtful)](
                          const absl::StatusOr<std::vector<LogSlice>>& firsts) {
                        if (!firsts.ok()) return Failed(firsts.status());
                        if (NoteGeneration()) return Poll();
                        TellTrimmed(doubtful, *firsts);
                        TellAnswer(*question, slices);
                      }));
}

void ChangelogTail::TellAnswer(const Question& question, const std::vector<LogSlice>& slices) {
  const bool all = Tell(question.asked, slices, question.limit, question.polled);
  if (all && question.resets == reset_reads_) read_count_ = question.count;
}

// An answer that is too large, or too late, would be so again.
void ChangelogTail::ReadFailed(const absl::Status& status) {
  if (absl::IsOutOfRange(status) || absl::IsResourceExhausted(status) ||
      absl::IsDeadlineExceeded(status)) {
    read_limit_ = std::max<size_t>(1, read_limit_ / 2);
  }
  Failed(status);
}

bool ChangelogTail::Tell(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices,
                         size_t limit, absl::Duration polled) {
  last_answer_ = clock_.Monotonic();
  poll_backoff_.Reset();
  bool more = false;
  for (const LogSlice& slice : slices) {
    const Asked* ask = FindAsked(asked, slice.slot);
    if (ask == nullptr || slice.entries.empty()) continue;
    Slot* slot = Find(*ask);
    if (slot == nullptr) continue;  // Lost while the answer was on its way.
    for (ChangeSink* sink : sinks_) sink->OnChanges(slot->position, slice);
    slot->position = slice.entries.back().position;
    Remember(*slot, slice.entries);
    if (slice.entries.size() >= limit) more = true;
  }
  empty_polls_ = slices.empty() ? std::min(empty_polls_ + 1, options_.idle_after_polls) : 0;
  if (more) {
    PollAfter(absl::ZeroDuration());
  } else {
    TellCaughtUp(asked, polled);
    PollSoon(empty_polls_ < options_.idle_after_polls ? options_.active_interval
                                                      : options_.idle_interval);
  }
  return !more;
}

void ChangelogTail::TellCaughtUp(const std::vector<Asked>& asked, absl::Duration polled) {
  if (!away_.empty() || told_away_ > 0) {
    for (auto& [number, slot] : slots_) {
      if (!slot.followed) continue;
      // What was away when this was asked is not in it, though it may be back by now.
      const bool away = IsAway(number) || (slot.told_away && FindAsked(asked, number) == nullptr);
      if (away == slot.told_away) continue;
      slot.told_away = away;
      away ? ++told_away_ : --told_away_;
      for (ChangeSink* sink : sinks_) away ? sink->OnAway(number) : sink->OnBack(number);
    }
  }
  for (ChangeSink* sink : sinks_) sink->OnCaughtUp(polled);
}

void ChangelogTail::Remember(Slot& slot, const std::vector<LogEntry>& entries) {
  const size_t first = entries.size() > kRemembered ? entries.size() - kRemembered : 0;
  if (first > 0) {
    slot.recent.clear();
    slot.recent_bytes = 0;
    slot.base = entries[first - 1].position;
  }
  for (size_t i = first; i < entries.size(); ++i) {
    slot.recent_bytes += NameBytes(entries[i]);
    slot.recent.push_back(entries[i]);
  }
  while (slot.recent.size() > kRemembered || slot.recent_bytes > kRememberedBytes) {
    slot.base = slot.recent.front().position;
    slot.recent_bytes -= NameBytes(slot.recent.front());
    slot.recent.pop_front();
  }
}

// --- Stores that have gone back.

bool ChangelogTail::NoteGeneration() {
  const uint64_t generation = store_.Generation();
  if (generation == store_generation_) return false;
  for (auto& [number, slot] : slots_) {
    if (slot.followed && store_.GenerationOf(number) > store_generation_) slot.in_doubt = true;
  }
  store_generation_ = generation;
  newest_kept_ = {};  // Whatever was examined before may have gone since.
  ForgetCount();
  return true;
}

bool ChangelogTail::IsAway(uint32_t slot) const {
  return std::binary_search(away_.begin(), away_.end(), slot);
}

void ChangelogTail::NoteAway() {
  std::vector<uint32_t> away = store_.AwaySlots();
  if (away == away_) return;
  away_ = std::move(away);
  suspect_ = true;  // Those that are back may have holes.
  ForgetCount();
  FindStarts();
}

bool ChangelogTail::Examine() {
  std::vector<Asked> asked;
  std::vector<LogRead> reads;
  bool waits = false;
  for (const auto& [number, slot] : slots_) {
    if (!slot.in_doubt || asked.size() == kExamined) continue;
    if (IsAway(number)) {
      waits = true;
      continue;
    }
    asked.push_back({number, slot.generation, slot.base});
    reads.push_back({number, Before(slot.base)});
  }
  if (asked.empty()) {
    if (!waits && std::exchange(examined_, false)) {
      for (ChangeSink* sink : sinks_) sink->OnLossesKnown(newest_kept_);
    }
    return false;
  }
  store_.ReadLogs(std::move(reads), kExaminedEntries, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, asked = std::move(asked)](const auto& slices) {
                        if (!slices.ok()) return Failed(slices.status());
                        // It may have gone back once more.
                        if (NoteGeneration()) return Poll();
                        Examined(asked, *slices);
                      }));
  return true;
}

void ChangelogTail::Examined(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices) {
  last_answer_ = clock_.Monotonic();
  poll_backoff_.Reset();
  std::map<uint32_t, const std::vector<LogEntry>*> found;
  for (const LogSlice& slice : slices) found[slice.slot] = &slice.entries;
  const std::vector<LogEntry> none;
  std::vector<Asked> replaced;
  std::vector<Kept> nothing_kept;
  for (const Asked& ask : asked) {
    Slot* slot = Find(ask);
    if (slot == nullptr) continue;
    const auto it = found.find(ask.slot);
    Kept kept = Compare(*slot, it == found.end() ? none : *it->second);
    if (kept.joined) {
      const LogPosition position = kept.position;
      Resume(ask.slot, *slot, std::move(kept), position);
    } else {
      replaced.push_back(ask);
      nothing_kept.push_back(std::move(kept));
    }
  }
  if (replaced.empty()) return Poll();
  ResumeAtEnds(std::move(replaced), std::move(nothing_kept));
}

// `log` is what it has from slot.base on, that entry included.
ChangelogTail::Kept ChangelogTail::Compare(const Slot& slot, const std::vector<LogEntry>& log) {
  Kept kept;
  kept.position = slot.base;
  kept.joined = slot.base == LogPosition{} || (!log.empty() && log.front().position == slot.base);
  for (const LogEntry& entry : slot.recent) {
    const auto at = std::lower_bound(
        log.begin(), log.end(), entry.position,
        [](const LogEntry& one, LogPosition position) { return one.position < position; });
    // A new primary whose clock is behind may give an id a second time.
    const bool same = at != log.end() && at->position == entry.position &&
                      at->version == entry.version && at->key == entry.key;
    if (!same) {
      kept.lost.push_back(entry);
    } else if (kept.lost.empty()) {
      kept.joined = true;
      kept.position = entry.position;
      kept.entries.push_back(entry);
    }
  }
  if (!kept.joined) kept.position = LogPosition{};
  return kept;
}

// Nothing of what is remembered is there: this is the log of an older store, which may be long, and
// tells little that was not told before. What is new in it is found by comparing what it is about.
void ChangelogTail::ResumeAtEnds(std::vector<Asked> asked, std::vector<Kept> kept) {
  std::vector<uint32_t> numbers;
  for (const Asked& ask : asked) numbers.push_back(ask.slot);
  store_.LogEnds(std::move(numbers), Deadline(),
                 gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                     [this, asked = std::move(asked), kept = std::move(kept)](const auto& ends) {
                       if (!ends.ok()) return Failed(ends.status());
                       if (NoteGeneration()) return Poll();
                       for (size_t i = 0; i < asked.size(); ++i) {
                         Slot* slot = Find(asked[i]);
                         if (slot != nullptr) {
                           Resume(asked[i].slot, *slot, kept[i], (*ends)[i]);
                         }
                       }
                       Poll();
                     }));
}

void ChangelogTail::Resume(uint32_t number, Slot& slot, Kept kept, LogPosition resumed) {
  slot.in_doubt = false;
  newest_kept_ = std::max(newest_kept_, kept.position);
  examined_ = true;
  if (!kept.joined) slot.base = resumed;
  const SlotLoss loss{.slot = number,
                      .kept = kept.position,
                      .resumed = resumed,
                      .rewound = kept.position != slot.position,
                      .lost = std::move(kept.lost)};
  slot.recent = std::move(kept.entries);
  slot.recent_bytes = 0;
  for (const LogEntry& entry : slot.recent) slot.recent_bytes += NameBytes(entry);
  slot.position = resumed;
  TellLost(number, loss.lost);
  for (ChangeSink* sink : sinks_) sink->OnLoss(loss);
}

// --- Holes.

void ChangelogTail::CheckEnds(std::vector<Asked> asked) {
  std::vector<uint32_t> numbers;
  for (const Asked& ask : asked) numbers.push_back(ask.slot);
  store_.LogEnds(std::move(numbers), Deadline(),
                 gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                     [this, asked = std::move(asked)](const auto& ends) {
                       if (!ends.ok()) return Failed(ends.status());
                       if (NoteGeneration()) return Poll();
                       std::vector<Asked> grown;  // Only these can have been trimmed.
                       for (size_t i = 0; i < asked.size(); ++i) {
                         if ((*ends)[i] < asked[i].position) {
                           CountLost(asked[i], (*ends)[i]);
                           Gap(asked[i], GapKind::kRestarted);
                         }
                         if ((*ends)[i] > asked[i].position) grown.push_back(asked[i]);
                       }
                       CheckStarts(std::move(grown));
                     }));
}

void ChangelogTail::CheckStarts(std::vector<Asked> asked) {
  if (asked.empty()) {
    suspect_ = false;
    last_answer_ = clock_.Monotonic();
    return Poll();
  }
  std::vector<LogRead> reads;
  for (const Asked& ask : asked) reads.push_back({ask.slot, LogPosition{}});
  store_.ReadLogs(std::move(reads), 1, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, asked = std::move(asked)](const auto& firsts) {
                        if (!firsts.ok()) return Failed(firsts.status());
                        if (NoteGeneration()) return Poll();
                        TellTrimmed(asked, *firsts);
                        CheckStarts({});
                      }));
}

// The entry at our position is trimmed: later ones may be, too.
void ChangelogTail::TellTrimmed(const std::vector<Asked>& asked,
                                const std::vector<LogSlice>& firsts) {
  std::map<uint32_t, LogPosition> first;
  for (const LogSlice& slice : firsts) {
    if (!slice.entries.empty()) first[slice.slot] = slice.entries.front().position;
  }
  for (const Asked& ask : asked) {
    const auto it = first.find(ask.slot);
    if (it == first.end() || it->second > ask.position) Gap(ask, GapKind::kTrimmed);
  }
}

void ChangelogTail::Gap(const Asked& asked, GapKind kind) {
  Slot* slot = Find(asked);
  if (slot == nullptr) return;
  if (kind == GapKind::kRestarted) slot->position = slot->base = LogPosition{};
  ForgetCount();
  observer_.OnTailGap(asked.slot);
  for (ChangeSink* sink : sinks_) sink->OnGap(asked.slot, kind);
}

void ChangelogTail::CountLost(const Asked& asked, LogPosition end) {
  Slot* slot = Find(asked);
  if (slot == nullptr) return;
  std::vector<LogEntry> gone(slot->recent.begin(), slot->recent.end());
  std::erase_if(gone, [end](const LogEntry& entry) { return entry.position <= end; });
  slot->recent.clear();
  slot->recent_bytes = 0;
  TellLost(asked.slot, gone);
}

void ChangelogTail::TellLost(uint32_t slot, const std::vector<LogEntry>& entries) {
  const size_t lost = CountUsers(entries);
  if (lost > 0 && options_.counts_lost) observer_.OnLostChanges(slot, lost);
}

void ChangelogTail::Failed(const absl::Status& status) {
  suspect_ = true;
  ForgetCount();
  observer_.OnTailError(status);
  PollAfter(poll_backoff_.Next(Random()));
}

}  // namespace meridian
