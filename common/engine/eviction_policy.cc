#include "common/engine/eviction_policy.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "common/engine/lru_policy.h"

namespace meridian {

absl::StatusOr<std::unique_ptr<EvictionPolicy>> CreateEvictionPolicy(std::string_view name) {
  if (name == "lru") return std::make_unique<LruPolicy>();
  return absl::InvalidArgumentError(
      absl::StrCat("unknown eviction policy '", ToAbsl(name), "'; known: lru"));
}

}  // namespace meridian
