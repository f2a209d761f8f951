// Hearing tells what a region has not been told of what another one did before a given time. What
// was deleted over there and is forgotten by now may then still live here.
//
// What was not told comes after the cursor of the other region's changes. As long as its log has no
// hole there, the log names the keys, and with them versions: a value that is as new as what is
// named of its key was not deleted. Of a slot whose log has a hole, or is too long to be looked
// through at all, nobody knows what was deleted.
// Cost: two or three reads of each store that is asked, only for slots whose cursor is older than
// the time; and of those slots what their logs have from before it, within HearingLimits.
// Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_HEARING_H_
#define MERIDIAN_SERVER_REPLICATION_HEARING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/version.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

// What one question may read of the logs of one region. More than that is left for later, slot by
// slot; a slot that alone is more counts as not told.
struct HearingLimits {
  size_t keys = 100'000;  // Remembered: some 40 bytes each.
  size_t entries = 500'000;
};

// Keys that logs have named, with the newest version of each. They are remembered by a hash: of two
// keys that share one, of which there are none, the older counts as overtaken.
class NamedKeys {
 public:
  void Add(const LogEntry& entry);
  void Add(const NamedKeys& others);
  // Not set for a key that was not named.
  Version NewestOf(const L2Key& key) const;
  size_t size() const { return newest_.size(); }

 private:
  absl::flat_hash_map<uint64_t, Version> newest_;
};

// What is asked about one other region.
struct HearingQuestion {
  std::string region;
  L2Store* store = nullptr;
  std::vector<uint32_t> slots;
  absl::Time before;
  // False: a slot is unheard when anything of that region comes after the cursor. A slot without a
  // cursor is heard: nothing of that region was ever here that it may have deleted since.
  // True: what comes after it is named by key, also without a cursor, because what is here may be
  // this region's own; a slot is unheard when the log cannot name it.
  bool by_key = false;
  HearingLimits limits;  // Of a question by key.
};

struct HearingAnswer {
  absl::Status status;         // Of the store that did not answer.
  std::set<uint32_t> unheard;  // With an error: those of which it is not known.
  std::set<uint32_t> later;    // By key: not looked at, because there was too much before.
  NamedKeys changed;           // By key.
};

// `done` is called behind the gate, unless that is closed.
void AskHearing(L2Store& own, HearingQuestion question, absl::Duration timeout,
                const TaskGate& gate, const Clock& clock, std::function<void(HearingAnswer)> done);

// The same of all other regions at once, for a region that is about to speak.
class Hearing {
 public:
  struct Answer {
    // By slot: a region that has more to tell, nobody knows what.
    std::map<uint32_t, std::string> unheard;
    // By slot: a region that does not answer, and may have more to tell.
    std::map<uint32_t, std::string> unknown;
    std::set<uint32_t> later;  // Not looked at yet; never all of those that were asked for.
    NamedKeys changed;         // What is untold in the other slots.
  };
  using Done = std::function<void(Answer)>;

  // Nothing is owned; everything outlives this.
  Hearing(HearingLimits limits, L2Store& own, std::map<std::string, L2Store*> others, TaskGate gate,
          const Clock& clock)
      : limits_(limits),
        own_(own),
        others_(std::move(others)),
        gate_(std::move(gate)),
        clock_(clock) {}

  // REQUIRES: called behind the gate; there is at least one other region.
  void Ask(const std::vector<uint32_t>& slots, absl::Time before, absl::Duration timeout,
           Done done) const;

  // Whether the region answers when it is asked about the slot. REQUIRES: called behind the gate;
  // the region is one of those that Answer names.
  void AskAnswers(const std::string& region, uint32_t slot, absl::Duration timeout,
                  std::function<void(bool)> done) const;

 private:
  const HearingLimits limits_;
  L2Store& own_;
  const std::map<std::string, L2Store*> others_;
  const TaskGate gate_;
  const Clock& clock_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_HEARING_H_
