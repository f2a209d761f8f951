#include "client/cli/perf_target.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace meridian::cli {

GetResult LivePerfTarget::Get(std::string_view key, bool from_origin) {
  GetOptions options;
  options.timeout = timeout_;
  options.force_refresh = from_origin;
  return client_.Get(name_space_, key, options);
}

WriteResult LivePerfTarget::Set(std::string_view key, std::string value, absl::Duration ttl) {
  SetOptions options;
  options.timeout = timeout_;
  options.ttl = ttl;
  return client_.Set(name_space_, key, std::move(value), options);
}

void LivePerfTarget::Pause(absl::Duration time) {
  constexpr absl::Duration kSlice = absl::Milliseconds(20);
  const absl::Duration end = Now() + time;
  while (!stopped() && Now() < end) absl::SleepFor(std::min(kSlice, end - Now()));
}

}  // namespace meridian::cli
