#include "server/replication/link_pace.h"

#include <algorithm>
#include <cassert>

namespace meridian {
namespace {

// Fewer that were answered say little.
constexpr size_t kSteady = 8;

}  // namespace

size_t LinkPace::Room() const { return window_ > under_way_ ? window_ - under_way_ : 0; }

absl::Duration LinkPace::Timeout(size_t bytes) const {
  return timeout_ * patience_ + absl::Seconds(static_cast<double>(bytes) / kBytesPerSecond);
}

void LinkPace::Done(size_t changes) {
  assert(changes <= under_way_);
  under_way_ -= changes;
}

void LinkPace::OnAnswered(size_t changes) {
  answered_ += changes;
  if (answered_ < std::max(kSteady, window_)) return;
  answered_ = 0;
  window_ = std::min(most_, window_ + window_ / 8 + 1);
  patience_ = std::max(1, patience_ / 2);
}

void LinkPace::OnLate() {
  answered_ = 0;
  if (window_ == 1) {
    patience_ = std::min(kMostPatience, 2 * patience_);
    return;
  }
  // What was allowed and not used says nothing.
  window_ = std::max<size_t>(1, std::min(window_, std::max<size_t>(under_way_, 1)) / 2);
}

}  // namespace meridian
