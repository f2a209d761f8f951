#include "server/dashboard/host_header.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "common/base/strings.h"

namespace meridian {
namespace {

constexpr char kInvalid[] = "HOST_INVALID";

// An address in numbers, IPv6 in brackets: no name that somebody else can make lead here.
bool IsAddress(std::string_view host) {
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') return true;
  return host.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::optional<HttpReply> RefuseHost(const char* host, std::string_view http_version,
                                    bool loopback) {
  if (host == nullptr) {
    if (http_version == "1.0") return std::nullopt;
    return JsonError(400, kInvalid, "there is no Host");
  }
  std::string_view name = host;
  const size_t bracket = name.rfind(']');
  const size_t colon = name.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    if (name.find_first_not_of("0123456789", colon + 1) != std::string_view::npos) {
      return JsonError(400, kInvalid, "Host is not NAME or NAME:PORT");
    }
    name = name.substr(0, colon);
  }
  const bool legal = !name.empty() && name.size() <= 255 &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return absl::ascii_isalnum(c) || std::strchr("-._[]:", c) != nullptr;
                     });
  if (!legal) return JsonError(400, kInvalid, "Host is not NAME or NAME:PORT");
  if (loopback && !IsAddress(name) && !absl::EqualsIgnoreCase(ToAbsl(name), "localhost")) {
    return JsonError(421, "HOST_UNEXPECTED",
                     "this server listens on loopback only; Host must be localhost or an address");
  }
  return std::nullopt;
}

}  // namespace meridian
