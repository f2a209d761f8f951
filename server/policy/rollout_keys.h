// Where the region's store keeps the rollout of policies: coordinators write it, nodes read their
// assignment from there when no coordinator answers. Redis has it under these names: a change loses
// what is stored.

#ifndef MERIDIAN_SERVER_POLICY_ROLLOUT_KEYS_H_
#define MERIDIAN_SERVER_POLICY_ROLLOUT_KEYS_H_

namespace meridian::rollout_keys {

inline constexpr char kState[] = "policy/state";
inline constexpr char kPartPrefix[] = "policy/";  // Of the names of all parts of the state.
inline constexpr char kAssignmentPart[] = "assignment";
inline constexpr char kMemoryPart[] = "memory";

}  // namespace meridian::rollout_keys

#endif  // MERIDIAN_SERVER_POLICY_ROLLOUT_KEYS_H_
