#include "tests/support/fault_proxy/delay_line.h"

#include <algorithm>
#include <limits>

namespace meridian {

absl::Duration LinkSchedule::Send(size_t bytes, absl::Duration now) {
  absl::Duration sent = now;
  if (faults_.bytes_per_second != 0) {
    free_at_ =
        std::max(free_at_, now) +
        absl::Seconds(static_cast<double>(bytes) / static_cast<double>(faults_.bytes_per_second));
    sent = free_at_;
  }
  if (faults_.jitter != absl::ZeroDuration()) {
    sent += faults_.jitter * std::uniform_real_distribution<double>(0, 1)(random_);
  }
  return sent + faults_.delay;
}

size_t LinkSchedule::PieceBytes() const {
  if (faults_.bytes_per_second == 0) return std::numeric_limits<size_t>::max();
  return std::max<size_t>(1, static_cast<size_t>(faults_.bytes_per_second / 100));
}

void DelayLine::Add(size_t bytes, bool end, absl::Duration now, LinkSchedule& link) {
  absl::Duration arrival = link.Send(bytes, now);
  if (!pieces_.empty()) arrival = std::max(arrival, pieces_.back().arrival);
  pieces_.push_back({arrival, bytes, end});
  bytes_ += bytes;
}

void DelayLine::Push(size_t bytes, absl::Duration now, LinkSchedule& link) {
  while (bytes > 0) {
    const size_t piece = std::min(bytes, link.PieceBytes());
    Add(piece, /*end=*/false, now, link);
    bytes -= piece;
  }
}

void DelayLine::PushEnd(absl::Duration now, LinkSchedule& link) { Add(0, /*end=*/true, now, link); }

size_t DelayLine::TakeArrived(absl::Duration now) {
  size_t bytes = 0;
  while (!pieces_.empty() && pieces_.front().arrival <= now) {
    bytes += pieces_.front().bytes;
    end_taken_ = pieces_.front().end;
    pieces_.pop_front();
  }
  bytes_ -= bytes;
  return bytes;
}

absl::Duration DelayLine::next() const {
  return pieces_.empty() ? absl::InfiniteDuration() : pieces_.front().arrival;
}

}  // namespace meridian
