#include "server/replication/changelog_tail.h"

#include <algorithm>
#include <utility>

namespace meridian {

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

void ChangelogTail::Failed(const absl::Status& status) {
  suspect_ = true;
  ForgetCount();
  observer_.OnTailError(status);
  PollAfter(poll_backoff_.Next(Random()));
}

}  // namespace meridian
