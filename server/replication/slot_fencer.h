// SlotFencer keeps what is old in a slot from being served while another region may have deleted
// it: from L2 by the slot's horizon, from L1 by dropping the slot, from near caches and mirrors by
// a gap (docs/adr/0021).
//
// Promise: once Set has returned, this node serves nothing of a fenced slot that is older than its
//   horizon was, and puts nothing such into L1. A horizon moves on with the time that is given.
//   Each time the slot's L1 is dropped, so it is put ahead by `ahead`, and moves only when that is
//   over.
// Cost: two loads a slot that stays fenced, and for those that begin or move on a drop and an
// event. Thread safety: none; one thread at a time.

#ifndef MERIDIAN_SERVER_REPLICATION_SLOT_FENCER_H_
#define MERIDIAN_SERVER_REPLICATION_SLOT_FENCER_H_

#include <cstdint>
#include <map>

#include "absl/time/time.h"
#include "common/engine/engine.h"
#include "server/node/slot_horizons.h"
#include "server/node/watch_hub.h"

namespace meridian {

class SlotFencer {
 public:
  // None is owned; all outlive this. `watch` nullptr: nobody follows.
  SlotFencer(absl::Duration ahead, SlotHorizons& horizons, Engine& engine, WatchHub* watch)
      : ahead_(ahead), horizons_(horizons), engine_(engine), watch_(watch) {}

  // From now on these slots are fenced, by slot up to that time, and no others.
  void Set(const std::map<uint32_t, absl::Time>& fenced);

 private:
  const absl::Duration ahead_;
  SlotHorizons& horizons_;
  Engine& engine_;
  WatchHub* const watch_;
  std::map<uint32_t, absl::Time> fenced_;  // As they are in force.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_SLOT_FENCER_H_
