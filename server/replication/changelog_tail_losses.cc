// What ChangelogTail does when changes may be lost: in stores that have gone back, and in logs that
// were trimmed or began anew.

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "server/node/limits.h"
#include "server/replication/changelog_tail.h"

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

// What nodes tell themselves is nobody's loss.
size_t CountUsers(const std::vector<LogEntry>& entries) {
  return static_cast<size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](const LogEntry& entry) { return !IsInternalNamespace(entry.name_space); }));
}

}  // namespace

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
                       // Only these can have been trimmed.
                       std::vector<Asked> grown;
                       std::vector<Asked> begun;  // The same, of logs that were not there before.
                       for (size_t i = 0; i < asked.size(); ++i) {
                         if ((*ends)[i] < asked[i].position) {
                           CountLost(asked[i], (*ends)[i]);
                           Gap(asked[i], GapKind::kRestarted);
                         }
                         if ((*ends)[i] > asked[i].position) {
                           (asked[i].position == LogPosition{} ? begun : grown).push_back(asked[i]);
                         }
                       }
                       CheckStarts(std::move(grown), std::move(begun));
                     }));
}

void ChangelogTail::CheckStarts(std::vector<Asked> asked, std::vector<Asked> begun) {
  if (asked.empty()) return CheckLengths(std::move(begun));
  std::vector<LogRead> reads;
  for (const Asked& ask : asked) reads.push_back({ask.slot, LogPosition{}});
  store_.ReadLogs(
      std::move(reads), 1, Deadline(),
      gate_.Reply<absl::StatusOr<std::vector<LogSlice>>>(
          [this, asked = std::move(asked), begun = std::move(begun)](const auto& firsts) {
            if (!firsts.ok()) return Failed(firsts.status());
            if (NoteGeneration()) return Poll();
            TellTrimmed(asked, *firsts);
            CheckLengths(begun);
          }));
}

// No log is trimmed below log_entries: one that has fewer begins where it began. One of which
// nothing is left has lost everything.
void ChangelogTail::CheckLengths(std::vector<Asked> begun) {
  if (begun.empty()) return Checked();
  std::vector<uint32_t> numbers;
  for (const Asked& ask : begun) numbers.push_back(ask.slot);
  store_.MeasureLogs(std::move(numbers), Deadline(),
                     gate_.Reply<absl::StatusOr<std::vector<LogSize>>>(
                         [this, begun = std::move(begun)](const auto& sizes) {
                           if (NoteGeneration()) return Poll();
                           for (size_t i = 0; i < begun.size(); ++i) {
                             const bool whole = sizes.ok() && (*sizes)[i].entries > 0 &&
                                                (*sizes)[i].entries < options_.log_entries;
                             if (!whole) Gap(begun[i], GapKind::kTrimmed);  // Or nobody knows.
                           }
                           Checked();
                         }));
}

void ChangelogTail::Checked() {
  suspect_ = false;
  last_answer_ = clock_.Monotonic();
  Poll();
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

}  // namespace meridian
