// What the leader keeps with a rollout besides its history, so that the next leader judges it as
// this one would: how long the stage was watched, and what the version before looked like.
//
// Thread safety: values and pure functions.

#ifndef MERIDIAN_SERVER_ROLLOUT_ROLLOUT_MEMORY_H_
#define MERIDIAN_SERVER_ROLLOUT_ROLLOUT_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "server/rollout/version_figures.h"

namespace meridian {

struct RolloutMemory {
  uint64_t version = 0;  // Of the rollout,
  uint32_t percent = 0;  // and of its stage: of another one it says nothing.
  absl::Duration watched;
  VersionFigures base;  // Reads under the version before, since the rollout began.
};

std::string EncodeMemory(const RolloutMemory& memory);
// nullopt: these are no such bytes.
std::optional<RolloutMemory> DecodeMemory(std::string_view bytes);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ROLLOUT_ROLLOUT_MEMORY_H_
