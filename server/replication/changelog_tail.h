// ChangelogTail follows the changelogs of the slots that this node owns, in the regional store, and
// tells its sinks every change. One tail serves L1 coherence and replication (docs/adr/0007).
//
// Promise: a slot's first position is read before its sinks hear OnSlotGained, so nothing that is
//   written afterwards is missed. After an error, or when nothing was heard for `stall`, every slot
//   is checked for lost entries before the next read, and exactly those with a hole get OnGap.
//   When the store may have gone back (L2Store::Generation), the last kRemembered changes of every
//   slot concerned are looked for in its log before anything else is told: OnLoss says which are
//   gone, and where the log goes on: behind the last that is there, and when none is, at its end.
//   They are counted, exactly as far as remembered; so are those of a log that ends before what was
//   told although no generation said so.
// Where a part of the store is away (L2Store::AwaySlots) the rest is followed as ever, and
// OnCaughtUp
//   is about the rest; its slots are looked at for holes when it is back.
// Cost: one ReadLogs of all owned slots every 10 ms (20 ms when idle), never two at a time, of
//   fewer changes a slot when an answer was too large or came too late; memory for the names of
//   kRemembered changes a slot, at most kRememberedBytes.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_CHANGELOG_TAIL_H_
#define MERIDIAN_SERVER_REPLICATION_CHANGELOG_TAIL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/change_sink.h"
#include "server/replication/replication_observer.h"
#include "server/replication/task_gate.h"

namespace meridian {

struct ChangelogTailOptions {
  absl::Duration active_interval = absl::Milliseconds(10);
  absl::Duration idle_interval = absl::Milliseconds(20);
  int idle_after_polls = 10;     // Polls without a change before the slower interval.
  size_t read_limit = 1000;      // Entries a slot and poll.
  size_t log_entries = 100'000;  // That the store keeps of a slot's log, at least.
  absl::Duration timeout = absl::Seconds(2);
  absl::Duration stall = absl::Seconds(5);  // Silence after which holes are looked for.
  bool counts_lost = true;  // False: another tail follows the slots, too, and tells of losses.
  BackoffOptions backoff{.initial = absl::Milliseconds(20), .max = absl::Seconds(1)};
};

class ChangelogTail {
 public:
  static constexpr size_t kRemembered = 64;
  static constexpr size_t kRememberedBytes = size_t{16} << 10;

  // Nothing is owned; everything outlives this.
  ChangelogTail(ChangelogTailOptions options, L2Store& store, TaskGate gate, const Clock& clock,
                ReplicationObserver& observer, std::vector<ChangeSink*> sinks);

  // Begins to poll.
  void Start();

  // The slots that the node owns from now on, ascending.
  void SetOwned(const std::vector<uint32_t>& slots);

  // Somebody waits for a change that was just made: polls now instead of at the next turn.
  void Nudge();

  // How many owned slots are followed: the others wait for their first position.
  size_t followed() const;

 private:
  struct Slot {
    uint64_t generation = 0;  // Tells a slot from the same slot before it was lost.
    bool followed = false;
    bool in_doubt = false;        // The store may have gone back since the last look at it.
    bool told_away = false;       // OnAway was told, and not yet OnBack.
    LogPosition position;         // Everything up to here has been told.
    LogPosition base;             // Where it began, or went on before the first of `recent`.
    std::deque<LogEntry> recent;  // The last that were told, to know those that the store has lost.
    size_t recent_bytes = 0;      // Of their names.
  };
  struct Asked {
    uint32_t slot;
    uint64_t generation;
    LogPosition position;
  };

  void FindStarts();
  void Begin(const std::vector<Asked>& asked, const absl::StatusOr<std::vector<LogPosition>>& ends);
  void Poll();
  void ReadIfChanged(std::vector<Asked> asked, absl::Duration polled);
  void Read(std::vector<Asked> asked, uint64_t count, absl::Duration polled);
  // What was asked, of at most `limit` entries a slot.
  struct Question {
    std::vector<Asked> asked;
    size_t limit;
    uint64_t count;  // The store's ChangeCount before.
    absl::Duration polled;
    uint64_t resets;  // reset_reads_ when it was asked.
  };
  void TakeAnswer(const std::shared_ptr<const Question>& question,
                  const std::vector<LogSlice>& slices);
  // The slots of which changes between our position and the slice may be gone.
  std::vector<Asked> Doubtful(const Question& question, const std::vector<LogSlice>& slices) const;
  void TellAnswer(const Question& question, const std::vector<LogSlice>& slices);
  // Tells a gap for each of `asked` whose log begins after its position, by its first entry.
  void TellTrimmed(const std::vector<Asked>& asked, const std::vector<LogSlice>& firsts);
  static const Asked* FindAsked(const std::vector<Asked>& asked, uint32_t slot);
  // Tells the sinks; true when every log was read to its end, as it was at `polled`.
  bool Tell(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices, size_t limit,
            absl::Duration polled);
  // The logs of all of `asked` were read to their ends, as they were at `polled`.
  void TellCaughtUp(const std::vector<Asked>& asked, absl::Duration polled);
  void ReadFailed(const absl::Status& status);
  static size_t NameBytes(const LogEntry& entry) {
    return entry.name_space.size() + entry.key.size();
  }
  void Remember(Slot& slot, const std::vector<LogEntry>& entries);
  // Marks the slots whose store may have gone back; true when an answer that was asked for before
  // is of no use now.
  bool NoteGeneration();
  void NoteAway();
  bool IsAway(uint32_t slot) const;
  bool Examine();
  void Examined(const std::vector<Asked>& asked, const std::vector<LogSlice>& slices);
  // What the log still has of what is remembered.
  struct Kept {
    bool joined = false;  // It goes on from there.
    LogPosition position;
    std::deque<LogEntry> entries;
    std::vector<LogEntry> lost;
  };
  static Kept Compare(const Slot& slot, const std::vector<LogEntry>& log);
  void Resume(uint32_t number, Slot& slot, Kept kept, LogPosition resumed);
  void ResumeAtEnds(std::vector<Asked> asked, std::vector<Kept> kept);
  void CheckEnds(std::vector<Asked> asked);
  // `begun`: those whose logs were not there before.
  void CheckStarts(std::vector<Asked> asked, std::vector<Asked> begun);
  void CheckLengths(std::vector<Asked> begun);
  void Checked();
  void Gap(const Asked& asked, GapKind kind);
  // The log ends before what was told: counts what is gone.
  void CountLost(const Asked& asked, LogPosition end);
  void TellLost(uint32_t slot, const std::vector<LogEntry>& entries);
  void Failed(const absl::Status& status);
  void PollAfter(absl::Duration delay);
  void PollSoon(absl::Duration delay);
  void ForgetCount() {
    read_count_ = 0;
    ++reset_reads_;
  }

  Slot* Find(const Asked& asked);
  std::vector<Asked> Followed() const;
  double Random() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  absl::Time Deadline() const { return clock_.Now() + options_.timeout; }

  const ChangelogTailOptions options_;
  L2Store& store_;
  const TaskGate gate_;
  const Clock& clock_;
  ReplicationObserver& observer_;
  const std::vector<ChangeSink*> sinks_;

  std::map<uint32_t, Slot> slots_;
  uint64_t next_generation_ = 1;
  uint64_t store_generation_;  // Of the store, when it was looked at last.
  bool examined_ = false;      // Slots were, of that generation, and
  LogPosition newest_kept_;    // that is what they have kept of what was told.
  bool finding_starts_ = false;
  std::vector<uint32_t> away_;  // As of the last poll.
  size_t told_away_ = 0;        // Slots of which that was told.
  // The store's ChangeCount before a read that reached the end of every followed log; 0: none did
  // since a slot was gained or something failed. Equal counts: there is nothing to read.
  uint64_t read_count_ = 0;
  size_t read_limit_;         // Shrinks when an answer is too large or too late.
  uint64_t reset_reads_ = 0;  // Grows when read_count_ is reset: reads under way do not count.
  bool suspect_ = false;      // Holes are looked for before the next read.
  int empty_polls_ = 0;
  uint64_t next_poll_ = 0;  // Tells the poll that is due from one that Nudge has replaced.
  bool resting_ = false;    // Between two polls, by the interval.
  bool nudged_ = false;     // While a poll was under way.
  absl::Duration last_answer_;
  Backoff poll_backoff_;
  Backoff start_backoff_;
  std::minstd_rand random_;  // Only spreads retries.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_CHANGELOG_TAIL_H_
