// Hearing tells of which slots a region has not been told everything that another one did before a
// given time. What was deleted over there and is forgotten by now may then still live here.
//
// A slot is unheard when the cursor of the other region's changes is older than that time, and
// changes of that region from before it, or nobody knows what (a hole in its log), come after it.
// Cost: two to four reads of each store that is asked, only for slots whose cursor is older.
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

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "server/node/l2_store.h"
#include "server/replication/task_gate.h"

namespace meridian {

// What is asked about one other region.
struct HearingQuestion {
  std::string region;
  L2Store* store = nullptr;
  std::vector<uint32_t> slots;
  absl::Time before;
  // Of a slot without a cursor: false, nothing of that region was ever here that it may have
  // deleted since; true, its log is looked at all the same, because what is here is this region's.
  bool without_cursor = false;
};

struct HearingAnswer {
  absl::Status status;         // Of the store that did not answer.
  std::set<uint32_t> unheard;  // With an error: those of which it is not known.
};

// `done` is called behind the gate, unless that is closed.
void AskHearing(L2Store& own, HearingQuestion question, absl::Duration timeout,
                const TaskGate& gate, const Clock& clock, std::function<void(HearingAnswer)> done);

// The same of all other regions at once, for a region that is about to speak.
class Hearing {
 public:
  struct Answer {
    std::map<uint32_t, std::string> unheard;  // By slot: a region that has more to tell.
    std::set<uint32_t> unknown;  // A region does not answer, and may have more to tell.
  };
  using Done = std::function<void(Answer)>;

  // Nothing is owned; everything outlives this.
  Hearing(L2Store& own, std::map<std::string, L2Store*> others, TaskGate gate, const Clock& clock)
      : own_(own), others_(std::move(others)), gate_(std::move(gate)), clock_(clock) {}

  // REQUIRES: called behind the gate; there is at least one other region.
  void Ask(const std::vector<uint32_t>& slots, absl::Time before, absl::Duration timeout,
           Done done) const;

 private:
  L2Store& own_;
  const std::map<std::string, L2Store*> others_;
  const TaskGate gate_;
  const Clock& clock_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_HEARING_H_
