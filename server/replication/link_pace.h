// LinkPace decides how many changes may be on their way to a target at once, and how long an answer
// may take, from what came of those before: a link that is narrower than what waits gets less at a
// time, down to one change, and more time for that one.
//
// Promise: a change that takes longer than the usual time-out to cross does so in the end, as long
// as
//   it crosses in kMostPatience of it. What was late halves the number; it is raised by an eighth
//   each time that as many, and eight at least, were answered. No I/O; time is the caller's.
// Thread safety: none.

#ifndef MERIDIAN_SERVER_REPLICATION_LINK_PACE_H_
#define MERIDIAN_SERVER_REPLICATION_LINK_PACE_H_

#include <cstddef>

#include "absl/time/time.h"

namespace meridian {

class LinkPace {
 public:
  static constexpr int kMostPatience = 16;
  // A call of many bytes has the time-out and what they take at this rate: a slow path that
  // nobody else uses should not be found out by failing first.
  static constexpr double kBytesPerSecond = 128 << 10;

  LinkPace(size_t most_changes, absl::Duration timeout)
      : most_(most_changes), timeout_(timeout), window_(most_changes) {}

  // How many more changes may be sent now. At least one when none is under way.
  size_t Room() const;
  // For a call that moves so many bytes.
  absl::Duration Timeout(size_t bytes) const;

  void Sent(size_t changes) { under_way_ += changes; }
  // They are not under way any more, whatever came of them.
  void Done(size_t changes);
  // So many were answered in time.
  void OnAnswered(size_t changes);
  // An answer was late. REQUIRES: told once for all that was sent before it was known.
  void OnLate();

  // Nothing is left to be tried: one at a time, with all the time that there is.
  bool is_exhausted() const { return window_ == 1 && patience_ == kMostPatience; }

  size_t window() const { return window_; }
  size_t under_way() const { return under_way_; }

 private:
  const size_t most_;
  const absl::Duration timeout_;
  size_t window_;
  size_t under_way_ = 0;
  size_t answered_ = 0;  // Since window_ changed.
  int patience_ = 1;
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_LINK_PACE_H_
