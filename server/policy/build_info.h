// Which build this is: release, libraries.

#ifndef MERIDIAN_SERVER_POLICY_BUILD_INFO_H_
#define MERIDIAN_SERVER_POLICY_BUILD_INFO_H_

#include <string>
#include <string_view>

namespace meridian {

// The release: "0.1.0".
std::string_view BuildVersion();

// "meridian-node 0.1.0 (gRPC 1.51.1, protobuf 3.21.12)".
std::string BuildInfoText(std::string_view program);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_BUILD_INFO_H_
