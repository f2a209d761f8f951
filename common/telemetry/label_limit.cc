#include "common/telemetry/label_limit.h"

#include "common/base/strings.h"

namespace meridian {

std::string_view LabelLimit::ValueFor(std::string_view value) {
  {
    absl::ReaderMutexLock lock(&mu_);
    auto found = values_.find(ToAbsl(value));
    if (found != values_.end()) return *found;
    if (values_.size() >= limit_) return kOther;
  }
  absl::MutexLock lock(&mu_);
  if (values_.size() >= limit_ && values_.find(ToAbsl(value)) == values_.end()) return kOther;
  return *values_.insert(std::string(value)).first;
}

}  // namespace meridian
