#include "server/rpc/fence_target.h"

#include <string>
#include <string_view>

#include "server/node/key_form.h"
#include "server/node/limits.h"

namespace meridian {

std::optional<Error> ReadFenceTarget(const cache::v1::InvalidateRequest& request,
                                     const KeyPolicy& keys, FenceRequest* fence) {
  const auto invalid = [](const char* message, const char* field) {
    Error error{grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid, message, {}};
    error.details.field = field;
    return error;
  };
  if (request.has_tag()) {  // What depends on the tag has it, so that this is a cascade as it is.
    fence->scope = FenceScope::kTag;
    fence->name = request.tag();
    return limits::CheckTag(request.tag(), "tag");
  }
  if (request.has_prefix()) {
    if (request.cascade()) {
      return invalid("what depends on the keys of a prefix is not known; cascade is of a key",
                     "cascade");
    }
    if (auto error = limits::CheckPrefix(request.prefix(), "prefix")) return error;
    std::string storage;
    const std::optional<std::string_view> formed = FormPrefix(keys, request.prefix(), &storage);
    if (!formed) {
      Error error = invalid(
          "the namespace's policy hashes what follows the last ':' in front of the first space or "
          "'?'; the prefix must end there, or earlier",
          "prefix");
      error.reason = reason::kPrefixInvalid;
      return error;
    }
    fence->scope = FenceScope::kPrefix;
    fence->name = *formed;
    return limits::CheckPrefix(fence->name, "prefix");
  }
  if (!request.all()) {
    return invalid("all is false; say true to invalidate the whole namespace", "all");
  }
  return std::nullopt;
}

}  // namespace meridian
