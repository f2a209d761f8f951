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
  return static_cast<size_t>(std::count_if(slots_.begin(), slots_.end(), [](const auto& entry) {
    return entry.second.followed;
  }));
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
    if (slot.followed) asked.push_back({number, slot.generation, slot.position});
  }
  return asked;
}

// --- The first position of gained slots.

void ChangelogTail::FindStarts() {
  if (finding_starts_) return;
  std::vector<Asked> asked;
  std::vector<uint32_t> numbers;
  for (const auto& [number, slot] : slots_) {
    if (slot.followed) continue;
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
    slot->position = (*ends)[i];
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
  std::vector<Asked> asked = Followed();
  const absl::Duration now = clock_.Monotonic();
  if (asked.empty()) {
    last_answer_ = now;
    suspect_ = false;
    PollSoon(options_.idle_interval);
    return;
  }
  if (now - last_answer_ > options_.stall) suspect_ = true;
  if (suspect_) {
    CheckEnds(std::move(asked));
  } else {
    ReadIfChanged(std::move(asked), now);
  }
}

void ChangelogTail::ReadIfChanged(std::vector<Asked> asked, absl::Duration polled) {
  store_.ChangeCount(Deadline(),
                     gate_.Reply<absl::StatusOr<uint64_t>>(
                         [this, asked = std::move(asked),
                          polled](const absl::StatusOr<uint64_t>& count) {
                           if (!count.ok()) return Failed(count.status());
                           if (*count != 0 && *count == read_count_) {
                             Tell(asked, {}, polled);
                           } else {
                             Read(asked, *count, polled);
                           }
                         }));
}

void ChangelogTail::Read(std::vector<Asked> asked, uint64_t count, absl::Duration polled) {
  std::vector<LogRead> reads;
  reads.reserve(asked.size());
  for (const Asked& ask : asked) reads.push_back({ask.slot, ask.position});
  store_.ReadLogs(std::move(reads), options_.read_limit, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, asked = std::move(asked), count, polled,
                       resets = reset_reads_](const auto& slices) {
                        if (!slices.ok()) return Failed(slices.status());
                        if (Tell(asked, *slices, polled) && resets == reset_reads_) read_count_ = count;
                      }));
}

bool ChangelogTail::Tell(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices,
                         absl::Duration polled) {
  last_answer_ = clock_.Monotonic();
  poll_backoff_.Reset();
  bool more = false;
  for (const LogSlice& slice : slices) {
    const auto ask = std::lower_bound(
        asked.begin(), asked.end(), slice.slot,
        [](const Asked& candidate, uint32_t number) { return candidate.slot < number; });
    if (ask == asked.end() || ask->slot != slice.slot || slice.entries.empty()) continue;
    Slot* slot = Find(*ask);
    if (slot == nullptr) continue;  // Lost while the answer was on its way.
    for (ChangeSink* sink : sinks_) sink->OnChanges(slot->position, slice);
    slot->position = slice.entries.back().position;
    const size_t first =
        slice.entries.size() > kRemembered ? slice.entries.size() - kRemembered : 0;
    for (size_t i = first; i < slice.entries.size(); ++i) {
      slot->recent.push_back(slice.entries[i].position);
    }
    while (slot->recent.size() > kRemembered) slot->recent.pop_front();
    if (slice.entries.size() >= options_.read_limit) more = true;
  }
  empty_polls_ = slices.empty() ? std::min(empty_polls_ + 1, options_.idle_after_polls) : 0;
  if (more) {
    PollAfter(absl::ZeroDuration());
  } else {
    for (ChangeSink* sink : sinks_) sink->OnCaughtUp(polled);
    PollSoon(empty_polls_ < options_.idle_after_polls ? options_.active_interval
                                                      : options_.idle_interval);
  }
  return !more;
}

// --- Holes.

void ChangelogTail::CheckEnds(std::vector<Asked> asked) {
  std::vector<uint32_t> numbers;
  for (const Asked& ask : asked) numbers.push_back(ask.slot);
  store_.LogEnds(std::move(numbers), Deadline(),
                 gate_.Reply<absl::StatusOr<std::vector<LogPosition>>>(
                     [this, asked = std::move(asked)](const auto& ends) {
                       if (!ends.ok()) return Failed(ends.status());
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
                        // The entry at our position is trimmed: later ones may be, too.
                        std::map<uint32_t, LogPosition> first;
                        for (const LogSlice& slice : *firsts) {
                          if (!slice.entries.empty()) {
                            first[slice.slot] = slice.entries.front().position;
                          }
                        }
                        for (const Asked& ask : asked) {
                          const auto it = first.find(ask.slot);
                          if (it == first.end() || it->second > ask.position) {
                            Gap(ask, GapKind::kTrimmed);
                          }
                        }
                        CheckStarts({});
                      }));
}

void ChangelogTail::Gap(const Asked& asked, GapKind kind) {
  Slot* slot = Find(asked);
  if (slot == nullptr) return;
  if (kind == GapKind::kRestarted) slot->position = LogPosition{};
  ForgetCount();
  observer_.OnTailGap(asked.slot);
  for (ChangeSink* sink : sinks_) sink->OnGap(asked.slot, kind);
}

void ChangelogTail::CountLost(const Asked& asked, LogPosition end) {
  Slot* slot = Find(asked);
  if (slot == nullptr) return;
  const auto lost =
      static_cast<size_t>(std::count_if(slot->recent.begin(), slot->recent.end(),
                                        [end](LogPosition position) { return position > end; }));
  slot->recent.clear();
  if (lost > 0) observer_.OnLostChanges(asked.slot, lost);
}

void ChangelogTail::Failed(const absl::Status& status) {
  suspect_ = true;
  ForgetCount();
  observer_.OnTailError(status);
  PollAfter(poll_backoff_.Next(Random()));
}

}  // namespace meridian
