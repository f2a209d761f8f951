// Commands of the calls of RedisStore: how the keys of a call are spread over them, and how what is
// answered comes back into the call's order. Thread-safe: functions of their arguments.

#ifndef MERIDIAN_SERVER_L2_REDIS_PLAN_H_
#define MERIDIAN_SERVER_L2_REDIS_PLAN_H_

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/l2/cluster_slots.h"
#include "server/l2/redis_command.h"
#include "server/l2/resp_writer.h"
#include "server/l2/script.h"

namespace meridian {

// A run of keys that go into one command: [begin, end) of the call's keys in their sending order.
struct KeyRange {
  size_t begin;
  size_t end;
};

// How the keys of a call are sent.
struct RedisPlan {
  std::vector<size_t> order;  // Empty: as they came.
  std::vector<KeyRange> ranges;

  size_t At(size_t i) const { return order.empty() ? i : order[i]; }
};

// A plan for `count` keys, at most `max_keys` a command, and if `one_slot` those of one slot only.
// `slot_of`(i) is the slot of the i-th key. O(n), with `one_slot` O(n log n).
template <typename SlotOf>
RedisPlan PlanKeys(size_t count, size_t max_keys, bool one_slot, SlotOf slot_of) {
  RedisPlan plan;
  if (one_slot) {
    plan.order.resize(count);
    std::iota(plan.order.begin(), plan.order.end(), size_t{0});
    std::stable_sort(plan.order.begin(), plan.order.end(),
                     [&](size_t a, size_t b) { return slot_of(a) < slot_of(b); });
  }
  for (size_t begin = 0; begin < count;) {
    size_t end = std::min(count, begin + max_keys);
    if (one_slot) {
      size_t same = begin + 1;
      while (same < end && slot_of(plan.order[same]) == slot_of(plan.order[begin])) ++same;
      end = same;
    }
    plan.ranges.push_back({begin, end});
    begin = end;
  }
  return plan;
}

// What was answered in the plan's order, in that of the call.
template <typename T>
absl::StatusOr<std::vector<T>> InOrder(absl::StatusOr<std::vector<T>> answers,
                                       const RedisPlan& plan) {
  if (!answers.ok() || plan.order.empty()) return answers;
  std::vector<T> ordered(answers->size());
  for (size_t i = 0; i < ordered.size(); ++i) ordered[plan.order[i]] = std::move((*answers)[i]);
  return ordered;
}

// Redis' slot for a command whose keys are all of ours `slot`.
inline void SetSlot(uint32_t slot, RedisCommand* command) { command->slot = RedisHashSlotOf(slot); }

// The commands of a call that needs one.
inline std::vector<RedisCommand> Only(RedisCommand command) {
  std::vector<RedisCommand> commands;
  commands.push_back(std::move(command));
  return commands;
}

// An MGET; `key_of`(i) for i in [begin, end) are the keys.
template <typename KeyOf>
RedisCommand MgetOf(std::string_view name, size_t begin, size_t end, KeyOf key_of) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.Begin(1 + end - begin);
  writer.Add("MGET");
  for (size_t i = begin; i < end; ++i) writer.Add(key_of(i));
  return RedisCommand::Plain(name, std::move(bytes));
}

// A call of a script with the keys `key_of`(i) for i in [begin, end).
template <typename KeyOf>
RedisCommand ScriptOf(std::string_view name, const Script& script, size_t begin, size_t end,
                      KeyOf key_of, const std::vector<std::string>& arguments = {}) {
  std::string bytes;
  RespWriter writer(&bytes);
  writer.AddNumber(static_cast<int64_t>(end - begin));
  for (size_t i = begin; i < end; ++i) writer.Add(key_of(i));
  for (const std::string& argument : arguments) writer.Add(argument);
  return RedisCommand::Call(name, script, 1 + end - begin + arguments.size(), std::move(bytes));
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_REDIS_PLAN_H_
