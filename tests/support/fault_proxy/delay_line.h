// LinkSchedule says when bytes that are sent now over a slow link arrive; DelayLine is the bytes of
// one connection that are on their way.
//
// Time is a parameter: durations since any start, never going backwards. No bytes are held here,
// only their number. Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_DELAY_LINE_H_
#define MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_DELAY_LINE_H_

#include <cstddef>
#include <deque>
#include <random>

#include "absl/time/time.h"
#include "tests/support/fault_proxy/faults.h"

namespace meridian {

// One direction of a link, shared by all its connections, so that they share its rate. A change of
// the faults holds for what is sent afterwards.
class LinkSchedule {
 public:
  explicit LinkSchedule(uint64_t seed) : random_(seed) {}

  void SetFaults(const DirectionFaults& faults) { faults_ = faults; }
  const DirectionFaults& faults() const { return faults_; }

  // Sends `bytes` at `now`; when the last of them arrives.
  absl::Duration Send(size_t bytes, absl::Duration now);

  // So many bytes are sent in one piece at most: 10 ms of the rate.
  size_t PieceBytes() const;

 private:
  DirectionFaults faults_;
  std::mt19937_64 random_;
  absl::Duration free_at_;  // When the sender of a limited link may send again.
};

// Invariant: arrival times do not decrease from front to back.
class DelayLine {
 public:
  // REQUIRES: nothing was pushed after PushEnd.
  void Push(size_t bytes, absl::Duration now, LinkSchedule& link);
  // The sender will send no more.
  void PushEnd(absl::Duration now, LinkSchedule& link);

  // Takes out what has arrived at `now`; the number of bytes.
  size_t TakeArrived(absl::Duration now);
  // The end, too, has been taken out.
  bool ended() const { return end_taken_; }
  // When the next of it arrives; InfiniteDuration when nothing is on its way.
  absl::Duration next() const;
  size_t bytes() const { return bytes_; }

 private:
  struct Piece {
    absl::Duration arrival;
    size_t bytes = 0;
    bool end = false;
  };
  void Add(size_t bytes, bool end, absl::Duration now, LinkSchedule& link);

  std::deque<Piece> pieces_;
  size_t bytes_ = 0;  // Of all pieces.
  bool end_taken_ = false;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_FAULT_PROXY_DELAY_LINE_H_
