#include "client/cpp/client_options.h"

#include <cstddef>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

constexpr size_t kMinNearBytes = size_t{1} << 20;

absl::Status CheckTimeout(const char* field, absl::Duration timeout) {
  if (timeout >= absl::Milliseconds(1) && timeout <= absl::Minutes(10)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " is ", absl::FormatDuration(timeout), ", must be from 1ms to 10m"));
}

}  // namespace

bool IsHostPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  const std::string_view port = address.substr(colon + 1);
  int number = 0;
  return !port.empty() && port.find_first_not_of("0123456789") == std::string_view::npos &&
         absl::SimpleAtoi(ToAbsl(port), &number) && number >= 1 && number <= 65535;
}

absl::Status ClientOptions::Validate() const {
  if (targets.empty()) {
    return absl::InvalidArgumentError("targets is empty: name at least one node as host:port");
  }
  for (const std::string& target : targets) {
    if (!IsHostPort(target)) {
      return absl::InvalidArgumentError(
          absl::StrCat("target \"", target, "\" is not host:port with a port from 1 to 65535"));
    }
  }
  for (const absl::Status& status :
       {CheckTimeout("get_timeout", get_timeout), CheckTimeout("set_timeout", set_timeout),
        CheckTimeout("batch_timeout", batch_timeout)}) {
    if (!status.ok()) return status;
  }
  if (near_cache_bytes != 0 && near_cache_bytes < kMinNearBytes) {
    return absl::InvalidArgumentError(absl::StrCat("near_cache_bytes is ", near_cache_bytes,
                                                   ", must be 0 or at least ", kMinNearBytes));
  }
  if (!tls.empty()) {
    if (absl::Status status = CheckTlsFiles(tls, absl::Now()); !status.ok()) return status;
  }
  if (near_cache_ttl < absl::Milliseconds(1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "near_cache_ttl is ", absl::FormatDuration(near_cache_ttl), ", must be at least 1ms"));
  }
  return absl::OkStatus();
}

}  // namespace meridian
