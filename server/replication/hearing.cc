#include "server/replication/hearing.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "common/base/hash.h"
#include "common/base/version_before.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

// Changes after a cursor that are looked at together; of one slot with more, all at once.
constexpr size_t kSlotsTogether = 16;
constexpr size_t kEntriesTogether = 1000;
constexpr size_t kFewestTogether = 16;

using Positions = absl::StatusOr<std::vector<LogPosition>>;
using Slices = absl::StatusOr<std::vector<LogSlice>>;

absl::Time TimeOf(LogPosition position) {
  return absl::FromUnixMillis(static_cast<int64_t>(position.ms));
}

uint64_t HashOf(std::string_view name_space, std::string_view key) {
  return Hash64(key, Hash64(name_space));
}

// One question on its way; keeps itself alive by the callbacks that wait.
class Round : public std::enable_shared_from_this<Round> {
 public:
  Round(L2Store& own, HearingQuestion question, absl::Duration timeout, TaskGate gate,
        const Clock& clock, std::function<void(HearingAnswer)> done)
      : own_(own),
        question_(std::move(question)),
        timeout_(timeout),
        gate_(std::move(gate)),
        clock_(clock),
        done_(std::move(done)) {}

  // The cursors first: one that moves meanwhile looks older than it is, never newer.
  void AskCursors() {
    own_.FetchCursors(question_.region, question_.slots, Deadline(),
                      gate_.Reply<Positions>([self = shared_from_this()](const Positions& cursors) {
                        if (!cursors.ok()) {
                          for (const uint32_t slot : self->question_.slots) self->old_[slot] = {};
                          return self->Fail(cursors.status());
                        }
                        self->TakeCursors(*cursors);
                      }));
  }

 private:
  void TakeCursors(const std::vector<LogPosition>& cursors) {
    for (size_t i = 0; i < cursors.size(); ++i) {
      if (cursors[i].ms == 0 && !question_.by_key) continue;
      if (TimeOf(cursors[i]) < question_.before) old_[question_.slots[i]] = cursors[i];
    }
    if (old_.empty()) return Answer();
    std::vector<uint32_t> slots;
    for (const auto& [slot, cursor] : old_) slots.push_back(slot);
    question_.store->LogEnds(
        slots, Deadline(),
        gate_.Reply<Positions>([self = shared_from_this(), slots](const Positions& ends) {
          if (!ends.ok()) return self->Fail(ends.status());
          for (size_t i = 0; i < slots.size(); ++i) {
            const LogPosition cursor = self->old_[slots[i]];
            if (cursor == (*ends)[i]) self->old_.erase(slots[i]);
            if (cursor > (*ends)[i]) self->lost_.insert(slots[i]);
          }
          self->AskNewest();
        }));
  }

  // A log that ends before the cursor was lost, and cannot say what it had told. But where the
  // region has told anything since `before` (its nodes write every second), it had told all of it.
  void AskNewest() {
    if (lost_.empty()) return AskStarts();
    std::vector<uint32_t> all(kSlotCount);
    std::iota(all.begin(), all.end(), 0);
    own_.FetchCursors(question_.region, std::move(all), Deadline(),
                      gate_.Reply<Positions>([self = shared_from_this()](const Positions& cursors) {
                        if (!cursors.ok()) return self->Fail(cursors.status());
                        const LogPosition newest =
                            *std::max_element(cursors->begin(), cursors->end());
                        for (const uint32_t slot : self->lost_) {
                          if (TimeOf(newest) < self->question_.before) self->unheard_.insert(slot);
                          self->old_.erase(slot);
                        }
                        self->AskStarts();
                      }));
  }

  void AskStarts() {
    if (old_.empty()) return Answer();
    std::vector<LogRead> reads;
    for (const auto& [slot, cursor] : old_) reads.push_back({slot, LogPosition{}});
    question_.store->ReadLogs(
        std::move(reads), 1, Deadline(),
        gate_.Reply<Slices>([self = shared_from_this()](const Slices& firsts) {
          if (!firsts.ok()) return self->Fail(firsts.status());
          self->TakeStarts(*firsts);
        }));
  }

  void TakeStarts(const std::vector<LogSlice>& firsts) {
    std::map<uint32_t, LogPosition> starts;
    for (const LogSlice& slice : firsts) starts[slice.slot] = slice.entries.front().position;
    for (auto it = old_.begin(); it != old_.end();) {
      const auto start = starts.find(it->first);
      // Without a first entry all of them were trimmed. Where there is no cursor, every log begins
      // after it: only what is in it can tell.
      const bool hole = start == starts.end() || (it->second.ms != 0 && start->second > it->second);
      if (hole) {
        unheard_.insert(it->first);
        it = old_.erase(it);
      } else {
        ++it;
      }
    }
    AskNext();
  }

  // What follows: some slots at a time, then what is left of each alone, because a log may be long.
  void AskNext() {
    if (old_.empty()) return Answer();
    if (question_.by_key && IsFull()) return LeaveTheRest();
    std::vector<LogRead> reads;
    size_t limit = entries_together_;
    if (!begun_.empty()) {
      limit *= kSlotsTogether;
      reads.push_back({*begun_.begin(), old_[*begun_.begin()]});
    } else {
      for (const auto& [slot, position] : old_) {
        if (reads.size() < kSlotsTogether) reads.push_back({slot, position});
      }
    }
    question_.store->ReadLogs(
        reads, limit, Deadline(),
        gate_.Reply<Slices>([self = shared_from_this(), reads, limit](const Slices& slices) {
          if (!slices.ok()) {
            if (!self->ReadsLess(slices.status())) return self->Fail(slices.status());
            return self->AskNext();
          }
          std::map<uint32_t, LogPosition> go_on;
          for (const LogSlice& slice : *slices) self->Look(slice, limit, &go_on);
          for (const LogRead& read : reads) {
            const auto next = go_on.find(read.slot);
            if (next == go_on.end()) {
              self->begun_.erase(read.slot);
              self->old_.erase(read.slot);
              self->any_done_ = true;
            } else {
              self->begun_.insert(read.slot);
              self->old_[read.slot] = next->second;
            }
          }
          self->AskNext();
        }));
  }

  void Look(const LogSlice& slice, size_t limit, std::map<uint32_t, LogPosition>* go_on) {
    const uint16_t id = RegionId(question_.region);
    for (const LogEntry& entry : slice.entries) {
      if (TimeOf(entry.position) >= question_.before) return;
      ++entries_;
      if (question_.by_key) {
        changed_.Add(entry);  // Whoever changed it.
      } else if (IsChangeOf(entry.version, id)) {
        unheard_.insert(slice.slot);
        return;
      }
    }
    if (slice.entries.size() >= limit) (*go_on)[slice.slot] = slice.entries.back().position;
  }

  // After an answer that was too large, or too slow. False: it cannot be less.
  bool ReadsLess(const absl::Status& status) {
    if (!absl::IsDeadlineExceeded(status) && !absl::IsOutOfRange(status)) return false;
    if (entries_together_ <= kFewestTogether) return false;
    entries_together_ = std::max(entries_together_ / 4, kFewestTogether);
    return true;
  }

  bool IsFull() const {
    return changed_.size() >= question_.limits.keys || entries_ >= question_.limits.entries;
  }

  // A slot that nothing was looked at before is too long.
  void LeaveTheRest() {
    for (const auto& [slot, position] : old_) {
      if (any_done_) {
        later_.insert(slot);
      } else {
        unheard_.insert(slot);
        any_done_ = true;
      }
    }
    Answer();
  }

  void Answer() {
    done_({absl::OkStatus(), std::move(unheard_), std::move(later_), std::move(changed_)});
  }
  void Fail(const absl::Status& status) {
    for (const auto& [slot, cursor] : old_) unheard_.insert(slot);
    done_({status, std::move(unheard_), {}, std::move(changed_)});
  }
  absl::Time Deadline() const { return clock_.Now() + timeout_; }

  L2Store& own_;
  const HearingQuestion question_;
  const absl::Duration timeout_;
  const TaskGate gate_;
  const Clock& clock_;
  const std::function<void(HearingAnswer)> done_;
  std::map<uint32_t, LogPosition> old_;  // Looked at up to there; not known yet.
  std::set<uint32_t> begun_;             // Of those, such with more than one look.
  std::set<uint32_t> lost_;              // Whose logs are not what they were.
  size_t entries_together_ = kEntriesTogether;
  bool any_done_ = false;  // A slot was looked at to its end.
  size_t entries_ = 0;
  std::set<uint32_t> unheard_;
  std::set<uint32_t> later_;
  NamedKeys changed_;
};

}  // namespace

void NamedKeys::Add(const LogEntry& entry) {
  if (IsInternalNamespace(entry.name_space)) return;
  Version& newest = newest_[HashOf(entry.name_space, entry.key)];
  newest = std::max(newest, entry.version);
}

void NamedKeys::Add(const NamedKeys& others) {
  for (const auto& [hash, version] : others.newest_) {
    Version& newest = newest_[hash];
    newest = std::max(newest, version);
  }
}

Version NamedKeys::NewestOf(const L2Key& key) const {
  const auto it = newest_.find(HashOf(key.name_space, key.key));
  return it == newest_.end() ? Version() : it->second;
}

void AskHearing(L2Store& own, HearingQuestion question, absl::Duration timeout,
                const TaskGate& gate, const Clock& clock, std::function<void(HearingAnswer)> done) {
  std::make_shared<Round>(own, std::move(question), timeout, gate, clock, std::move(done))
      ->AskCursors();
}

void Hearing::Ask(const std::vector<uint32_t>& slots, absl::Time before, absl::Duration timeout,
                  Done done) const {
  struct All {
    size_t open;
    Answer answer;
    Done done;
  };
  auto all = std::make_shared<All>(All{others_.size(), {}, std::move(done)});
  for (const auto& [region, store] : others_) {
    HearingQuestion question{region, store, slots, before, /*by_key=*/true, limits_};
    AskHearing(own_, std::move(question), timeout, gate_, clock_,
               [all, slots, region = region](const HearingAnswer& answer) {
                 for (const uint32_t slot : answer.unheard) {
                   auto& where = answer.status.ok() ? all->answer.unheard : all->answer.unknown;
                   where.emplace(slot, region);
                 }
                 all->answer.later.insert(answer.later.begin(), answer.later.end());
                 all->answer.changed.Add(answer.changed);
                 if (--all->open > 0) return;
                 // Each has looked at some of them, but at other ones.
                 if (!slots.empty() && all->answer.later.size() == slots.size()) {
                   all->answer.later.erase(slots.front());
                   all->answer.unheard.emplace(slots.front(), region);
                 }
                 all->done(std::move(all->answer));
               });
  }
}

void Hearing::AskAnswers(const std::string& region, uint32_t slot, absl::Duration timeout,
                         std::function<void(bool)> done) const {
  others_.at(region)->LogEnds(
      {slot}, clock_.Now() + timeout,
      gate_.Reply<Positions>([done = std::move(done)](const Positions& ends) { done(ends.ok()); }));
}

}  // namespace meridian
