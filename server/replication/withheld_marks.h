// WithheldMarks remembers in the own store which slots have values that LinkRepair keeps back for a
// silent region, so that whoever owns a slot next compares it, too.
//
// A mark is a cursor, which no region of that name moves: with an even sequence number the slot has
//   such values, with an odd one it was compared since.
// Cost: a read of the own store for all slots that are gained together, and a write when a slot's
//   mark changes. Thread safety: none; everything runs behind the gate.

#ifndef MERIDIAN_SERVER_REPLICATION_WITHHELD_MARKS_H_
#define MERIDIAN_SERVER_REPLICATION_WITHHELD_MARKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/resilience/backoff.h"
#include "server/node/l2_store.h"
#include "server/replication/link_backlog.h"
#include "server/replication/task_gate.h"

namespace meridian {

class WithheldMarks {
 public:
  using Found = std::function<void(SlotTicket)>;

  // Of values that are kept back from `target_region`. References outlive this; `found` is told
  // every slot that is loaded and has a mark.
  WithheldMarks(std::string_view target_region, L2Store& own, TaskGate gate, const Clock& clock,
                absl::Duration timeout, Found found);

  // Reads the slot's mark, soon, and until the store has answered.
  void Load(SlotTicket ticket);
  // The slot is somebody else's now.
  void Forget(uint32_t slot);

  // Whether the slot's mark, as far as it is known, says this already.
  bool Says(uint32_t slot, bool withheld) const;
  // Writes marks, `withheld` by slot, and reads them back; nothing is known when `done`, which is
  // called unless the gate is closed, gets an error.
  void Set(const std::map<uint32_t, bool>& withheld, std::function<void(absl::Status)> done);

 private:
  using Marks = std::map<uint32_t, LogPosition>;

  void LoadAll();
  void ReadBack(const Marks& written, std::function<void(absl::Status)> done);
  void Loaded(const std::map<uint32_t, uint64_t>& asked,
              const absl::StatusOr<std::vector<LogPosition>>& marks);

  const std::string name_;
  L2Store& own_;
  const TaskGate gate_;
  const Clock& clock_;
  const absl::Duration timeout_;
  const Found found_;
  std::map<uint32_t, uint64_t> to_load_;  // Generation by slot.
  Marks marks_;
  bool loading_ = false;  // LoadAll is due, or waits for the store.
  Backoff backoff_;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_WITHHELD_MARKS_H_
