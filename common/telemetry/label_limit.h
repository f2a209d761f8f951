// LabelLimit keeps a label from having ever more values: the first `limit` distinct values are
// themselves, all later ones are "other".
//
// Cost: one lock and one hash lookup. Thread safety: all methods may be called concurrently.

#ifndef MERIDIAN_COMMON_TELEMETRY_LABEL_LIMIT_H_
#define MERIDIAN_COMMON_TELEMETRY_LABEL_LIMIT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/node_hash_set.h"
#include "absl/synchronization/mutex.h"

namespace meridian {

class LabelLimit {
 public:
  static constexpr std::string_view kOther = "other";

  explicit LabelLimit(size_t limit) : limit_(limit) {}

  // `value`, or "other". The result lives as long as this.
  std::string_view ValueFor(std::string_view value) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const size_t limit_;
  absl::Mutex mu_;
  absl::node_hash_set<std::string> values_ ABSL_GUARDED_BY(mu_);
};

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TELEMETRY_LABEL_LIMIT_H_
