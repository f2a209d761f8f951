#include "server/node/clock_guard.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

// The middle one; of the two middle ones that which is nearer to `own`.
absl::Duration MedianOf(std::vector<absl::Duration> bases, absl::Duration own) {
  std::sort(bases.begin(), bases.end());
  const absl::Duration upper = bases[bases.size() / 2];
  if (bases.size() % 2 == 1) return upper;
  const absl::Duration lower = bases[bases.size() / 2 - 1];
  return absl::AbsDuration(own - lower) < absl::AbsDuration(own - upper) ? lower : upper;
}

}  // namespace

void ClockGuard::Measured(const std::string& reference, absl::Time its_time, absl::Duration sent,
                          absl::Duration received) {
  const absl::Duration middle = sent + (received - sent) / 2;
  const absl::Duration own = Base();
  absl::MutexLock lock(&mu_);
  words_[reference] = Word{its_time - absl::UnixEpoch() - middle, received};
  std::vector<absl::Duration> bases;
  for (auto it = words_.begin(); it != words_.end();) {
    if (received - it->second.received > kMemory) {
      it = words_.erase(it);
    } else {
      bases.push_back(it->second.base);
      ++it;
    }
  }
  const int64_t median = absl::ToInt64Nanoseconds(MedianOf(std::move(bases), own));
  median_ns_.store(median == 0 ? 1 : median, std::memory_order_relaxed);
}

absl::Duration ClockGuard::Ahead() const {
  const int64_t median = median_ns_.load(std::memory_order_relaxed);
  return median == 0 ? absl::ZeroDuration() : Base() - absl::Nanoseconds(median);
}

absl::Status ClockGuard::Check() const {
  const absl::Duration ahead = Ahead();
  if (absl::AbsDuration(ahead) <= kMaxSkew) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "CLOCK_SKEW: this node's clock is ", absl::FormatDuration(absl::AbsDuration(ahead)),
      ahead > absl::ZeroDuration() ? " ahead of" : " behind",
      " those of the stores and nodes that "
      "it knows, more than ",
      absl::FormatDuration(kMaxSkew), ": it gives no versions; check NTP on its machine"));
}

std::vector<ClockOffset> ClockGuard::Offsets() const {
  const absl::Duration own = Base();
  absl::MutexLock lock(&mu_);
  std::vector<ClockOffset> offsets;
  for (const auto& [reference, word] : words_) offsets.push_back({reference, own - word.base});
  return offsets;
}

}  // namespace meridian
