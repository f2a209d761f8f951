#include "server/replication/hearing.h"

#include <memory>
#include <utility>

#include "common/base/version.h"

namespace meridian {
namespace {

// Changes after a cursor that are looked at together.
constexpr size_t kSlotsTogether = 16;
constexpr size_t kEntriesTogether = 1000;

using Positions = absl::StatusOr<std::vector<LogPosition>>;
using Slices = absl::StatusOr<std::vector<LogSlice>>;

absl::Time TimeOf(LogPosition position) {
  return absl::FromUnixMillis(static_cast<int64_t>(position.ms));
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
      if (cursors[i].ms == 0 && !question_.without_cursor) continue;
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
            if (self->old_[slots[i]] >= (*ends)[i]) self->old_.erase(slots[i]);
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

  // Is one of the region's own changes among those that follow? Some slots at a time, some entries
  // of each: a log may be long, and full of what others did.
  void AskNext() {
    if (old_.empty()) return Answer();
    std::vector<LogRead> reads;
    for (const auto& [slot, position] : old_) {
      if (reads.size() < kSlotsTogether) reads.push_back({slot, position});
    }
    question_.store->ReadLogs(
        reads, kEntriesTogether, Deadline(),
        gate_.Reply<Slices>([self = shared_from_this(), reads](const Slices& slices) {
          if (!slices.ok()) return self->Fail(slices.status());
          std::map<uint32_t, LogPosition> go_on;
          for (const LogSlice& slice : *slices) self->Look(slice, &go_on);
          for (const LogRead& read : reads) {
            const auto next = go_on.find(read.slot);
            if (next == go_on.end()) {
              self->old_.erase(read.slot);
            } else {
              self->old_[read.slot] = next->second;
            }
          }
          self->AskNext();
        }));
  }

  void Look(const LogSlice& slice, std::map<uint32_t, LogPosition>* go_on) {
    const uint16_t id = RegionId(question_.region);
    for (const LogEntry& entry : slice.entries) {
      if (TimeOf(entry.position) >= question_.before) return;
      if (entry.version.region == id) {
        unheard_.insert(slice.slot);
        return;
      }
    }
    if (slice.entries.size() >= kEntriesTogether) {
      (*go_on)[slice.slot] = slice.entries.back().position;
    }
  }

  void Answer() { done_({absl::OkStatus(), std::move(unheard_)}); }
  void Fail(const absl::Status& status) {
    for (const auto& [slot, cursor] : old_) unheard_.insert(slot);
    done_({status, std::move(unheard_)});
  }
  absl::Time Deadline() const { return clock_.Now() + timeout_; }

  L2Store& own_;
  const HearingQuestion question_;
  const absl::Duration timeout_;
  const TaskGate gate_;
  const Clock& clock_;
  const std::function<void(HearingAnswer)> done_;
  std::map<uint32_t, LogPosition> old_;  // Looked at up to there; not known yet.
  std::set<uint32_t> unheard_;
};

}  // namespace

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
    AskHearing(own_, {region, store, slots, before, /*without_cursor=*/true}, timeout, gate_,
               clock_, [all, region = region](const HearingAnswer& answer) {
                 for (const uint32_t slot : answer.unheard) {
                   if (answer.status.ok()) {
                     all->answer.unheard.emplace(slot, region);
                   } else {
                     all->answer.unknown.insert(slot);
                   }
                 }
                 if (--all->open == 0) all->done(std::move(all->answer));
               });
  }
}

}  // namespace meridian
