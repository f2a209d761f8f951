#include "server/replication/fetch_pace.h"

namespace meridian {

FetchPace::FetchPace(FetchPaceOptions options)
    : options_(options),
      pace_(options.keys * options.fetches, options.timeout),
      limit_(options.keys) {}

size_t FetchPace::Room() const {
  const size_t under_way = pace_.under_way();
  const size_t most = std::min(pace_.Room(), start_ > under_way ? start_ - under_way : 0);
  const auto by_bytes = static_cast<size_t>(static_cast<double>(options_.bytes) / mean_bytes_);
  return std::min(most, std::clamp<size_t>(by_bytes, 1, limit_));
}

absl::Duration FetchPace::Timeout(size_t keys) const {
  return pace_.Timeout(static_cast<size_t>(static_cast<double>(keys) * mean_bytes_));
}

uint64_t FetchPace::Sent(size_t keys) {
  pace_.Sent(keys);
  return round_;
}

void FetchPace::Answered(uint64_t round, const std::vector<L2Record>& records) {
  Learn(records);
  const bool late = std::any_of(records.begin(), records.end(), [](const L2Record& record) {
    return absl::IsDeadlineExceeded(record.status);
  });
  if (late && round == round_) {
    pace_.OnLate();
    ++round_;
  }
  pace_.Done(records.size());
  if (late) return;
  pace_.OnAnswered(records.size());
  start_ = std::min(options_.keys * options_.fetches, start_ + records.size());
  limit_ = std::min(options_.keys, limit_ + limit_ / 8 + 1);
}

// A mean that rises slowly would let a store of small values, in which someone writes large ones,
// be asked for thousands of these.
void FetchPace::Learn(const std::vector<L2Record>& records) {
  size_t count = 0;
  double bytes = 0;
  for (const L2Record& record : records) {
    if (record.record.empty()) continue;
    const auto size = static_cast<double>(record.record.size());
    ++count;
    bytes += size;
    mean_bytes_ += (size - mean_bytes_) / 64;
  }
  if (count > 0) mean_bytes_ = std::max(mean_bytes_, bytes / static_cast<double>(count));
}

}  // namespace meridian
