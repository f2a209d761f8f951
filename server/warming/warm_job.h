// WarmJob is one warming of keys: what it is, how far it is, how it ended. Its keys are kept apart
// (WarmText), because a job may wait for long and there may be many.
//
// Both have a text form for the store, JSON, that a later version of the program must still read:
// fields that it does not know are ignored, missing ones have their defaults.
// Thread safety: values; pure functions.

#ifndef MERIDIAN_SERVER_WARMING_WARM_JOB_H_
#define MERIDIAN_SERVER_WARMING_WARM_JOB_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/warming/key_list.h"

namespace meridian {

enum class WarmJobState : uint8_t { kQueued, kRunning, kPaused, kDone, kFailed, kCancelled };

// kInvalidArgument "NAMESPACE_INVALID: ...", or "NAMESPACE_RESERVED: ..." of what is the nodes'
// own.
absl::Status CheckWarmNamespace(std::string_view name_space);

// "queued" and so on.
std::string_view WarmJobStateName(WarmJobState state);

struct WarmJob {
  std::string id;      // Unique in the region.
  std::string source;  // "startup", "schedule", "rule", "prediction" or "manual".
  std::string name;    // Of what configured it; empty: somebody asked for its keys.
  std::string name_space;
  std::string identity;  // Jobs of the same identity are not queued twice.
  WarmJobState state = WarmJobState::kQueued;
  int32_t priority = 0;           // Larger runs first.
  bool refresh = false;           // Its keys are loaded anew, whoever has them.
  bool has_fixed_budget = false;  // That of its namespace, whatever its source brings.
  uint64_t total_keys = 0;
  uint64_t next_key = 0;     // All keys below are over: the sum of the next four.
  uint64_t warmed_keys = 0;  // In the memory of their owners when they were read, or from then on.
  uint64_t absent_keys = 0;  // Neither the region nor an origin has them.
  uint64_t failed_keys = 0;
  uint64_t unkept_keys = 0;  // Read, but their owners did not keep them.
  uint64_t text_bytes = 0;   // Of its WarmText in the store.
  std::string error;         // For people.
  absl::Time create_time;
  absl::Time deadline;
  std::optional<absl::Time> start_time;  // Its first read.
  std::optional<absl::Time> end_time;

  bool over() const { return state >= WarmJobState::kDone; }
  // What nodes follow what it brings under. A fixed budget has a name of its own: what is read
  // whatever it brings is no verdict on those that have to earn theirs.
  std::string followed_as() const { return has_fixed_budget ? "fixed" : source; }
  friend bool operator==(const WarmJob&, const WarmJob&) = default;
};

// What others say of an error may be long and hold any bytes; the store and the wire want short
// text.
std::string ForPeople(std::string error);

nlohmann::json ToJson(const WarmJob& job);
// nullopt: that is no job.
std::optional<WarmJob> WarmJobFromJson(const nlohmann::json& json);

// What keys a job has.
struct WarmText {
  std::vector<std::string> keys;  // Texts of a KeyList.
  KeyParts parts;
  bool is_literal = false;  // The texts are keys as they are; there are no parts.

  absl::StatusOr<KeyList> ToKeyList() const;
  size_t bytes() const;
  std::string ToJsonText() const;
  static std::optional<WarmText> FromJsonText(std::string_view text);
};

// A job that a part of the coordinator asks for.
struct WarmOrder {
  std::string source;
  std::string name;  // The job's id begins with it.
  std::string name_space;
  WarmText text;
  int32_t priority = 0;
  bool refresh = false;
  bool has_fixed_budget = false;
  absl::Duration deadline = absl::Hours(1);  // From now.
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_JOB_H_
