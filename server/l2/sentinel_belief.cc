#include "server/l2/sentinel_belief.h"

namespace meridian {

std::optional<size_t> SentinelBelief::Judge(std::span<const Answer> answers, absl::Duration now) {
  std::optional<size_t> best;
  size_t known = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].primary) continue;
    ++known;
    if (!best || answers[i].epoch > answers[*best].epoch) best = i;
  }
  if (!best) return std::nullopt;
  if (answers[*best].epoch < epoch_) {
    if (known * 2 <= answers.size()) {
      older_since_.reset();
      return std::nullopt;
    }
    if (!older_since_) older_since_ = now;
    if (now - *older_since_ < kForgetAfter) return std::nullopt;
  }
  older_since_.reset();
  epoch_ = answers[*best].epoch;
  return best;
}

}  // namespace meridian
