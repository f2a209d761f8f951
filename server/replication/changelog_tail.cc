#include "server/replication/changelog_tail.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/node/limits.h"

namespace meridian {
namespace {

// Slots that are examined together, so that an answer stays small.
constexpr size_t kExamined = 64;

// A read after this begins with the entry at `position`.
LogPosition Before(LogPosition position) {
  if (position.sequence > 0) return {position.ms, position.sequence - 1};
  if (position.ms > 0) return {position.ms - 1, std::numeric_limits<uint64_t>::max()};
  return {};
}

// What nodes tell themselves is nobody's loss.
size_t CountUsers(const std::vector<LogEntry>& entries) {
  return static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](const LogEntry& entry) { return entry.name_space != kInternalNamespace; }));
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
                        if (NoteGeneration()) return Poll();
                        if (Tell(asked, *slices, polled) && resets == reset_reads_)
                          read_count_ = count;
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
    Remember(*slot, slice.entries);
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

void ChangelogTail::Remember(Slot& slot, const std::vector<LogEntry>& entries) {
  const size_t first = entries.size() > kRemembered ? entries.size() - kRemembered : 0;
  if (first > 0) {
    slot.recent.clear();
    slot.base = entries[first - 1].position;
  }
  slot.recent.insert(slot.recent.end(), entries.begin() + static_cast<ptrdiff_t>(first),
                     entries.end());
  while (slot.recent.size() > kRemembered) {
    slot.base = slot.recent.front().position;
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
  ForgetCount();
  return true;
}

bool ChangelogTail::Examine() {
  std::vector<Asked> asked;
  std::vector<LogRead> reads;
  for (const auto& [number, slot] : slots_) {
    if (!slot.in_doubt || asked.size() == kExamined) continue;
    asked.push_back({number, slot.generation, slot.base});
    reads.push_back({number, Before(slot.base)});
  }
  if (asked.empty()) return false;
  store_.ReadLogs(std::move(reads), options_.read_limit, Deadline(),
                  gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
                      [this, asked = std::move(asked)](const auto& slices) {
                        if (!slices.ok()) return Failed(slices.status());
                        // Otherwise it may have gone back once more.
                        if (!NoteGeneration()) Examined(asked, *slices);
                        Poll();
                      }));
  return true;
}

void ChangelogTail::Examined(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices) {
  last_answer_ = clock_.Monotonic();
  poll_backoff_.Reset();
  std::map<uint32_t, const std::vector<LogEntry>*> found;
  for (const LogSlice& slice : slices) found[slice.slot] = &slice.entries;
  const std::vector<LogEntry> none;
  for (const Asked& ask : asked) {
    Slot* slot = Find(ask);
    if (slot == nullptr) continue;
    const auto it = found.find(ask.slot);
    Judge(ask.slot, *slot, it == found.end() ? none : *it->second);
  }
}

// `entries` is what the log has from slot.base on, that entry included.
void ChangelogTail::Judge(uint32_t number, Slot& slot, const std::vector<LogEntry>& entries) {
  slot.in_doubt = false;
  SlotLoss loss{.slot = number, .kept = slot.base, .rewound = false, .lost = {}};
  bool joined =
      slot.base == LogPosition{} || (!entries.empty() && entries.front().position == slot.base);
  std::deque<LogEntry> kept;
  for (LogEntry& entry : slot.recent) {
    const auto at = std::lower_bound(
        entries.begin(), entries.end(), entry.position,
        [](const LogEntry& one, LogPosition position) { return one.position < position; });
    // A new primary whose clock is behind may give an id a second time.
    const bool same = at != entries.end() && at->position == entry.position &&
                      at->version == entry.version && at->key == entry.key;
    if (!same) {
      loss.lost.push_back(std::move(entry));
    } else if (loss.lost.empty()) {
      joined = true;
      loss.kept = entry.position;
      kept.push_back(std::move(entry));
    }
  }
  if (!joined) loss.kept = slot.base = LogPosition{};
  loss.rewound = loss.kept != slot.position;
  slot.recent = std::move(kept);
  slot.position = loss.kept;
  if (const size_t lost = CountUsers(loss.lost); lost > 0) observer_.OnLostChanges(number, lost);
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
  const size_t lost = CountUsers(gone);
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
