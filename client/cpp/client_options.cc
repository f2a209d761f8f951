#include "client/cpp/client_options.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

absl::Status CheckTimeout(const char* field, absl::Duration timeout) {
  if (timeout >= absl::Milliseconds(1) && timeout <= absl::Minutes(10)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", absl::FormatDuration(timeout), ", must be from 1ms to 10m"));
}

}  // namespace

absl::Status ClientOptions::Validate() const {
  if (targets.empty()) {
    return absl::InvalidArgumentError("targets is empty: name at least one node as host:port");
  }
  for (const std::string& target : targets) {
    const size_t colon = target.rfind(':');
    if (colon == 0 || colon == std::string::npos || colon + 1 == target.size() ||
        target.find_first_not_of("0123456789", colon + 1) != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat("target \"", target, "\" is not host:port"));
    }
  }
  for (const absl::Status& status :
       {CheckTimeout("get_timeout", get_timeout), CheckTimeout("set_timeout", set_timeout),
        CheckTimeout("batch_timeout", batch_timeout)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace meridian
