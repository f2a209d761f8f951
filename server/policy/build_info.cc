#include "server/policy/build_info.h"

#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"

namespace meridian {

std::string_view BuildVersion() { return MERIDIAN_VERSION; }

std::string BuildInfoText(std::string_view program) {
  return absl::StrCat(ToAbsl(program), " ", MERIDIAN_VERSION, " (gRPC ", grpc::Version(),
                      ", protobuf ",
                      google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION), ")");
}

}  // namespace meridian
