#include "server/node/namespace_what_if.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/strings.h"
#include "common/engine/eviction_policy.h"

namespace meridian {
namespace {

Error Refuse(grpc::StatusCode code, const char* why, const std::string& message,
             const std::string& field = "") {
  Error error{code, why, message, {}};
  error.details.field = field;
  return error;
}

Error NoTraffic(std::string_view name_space, const std::string& what) {
  return Refuse(grpc::StatusCode::FAILED_PRECONDITION, reason::kNoTraffic,
                absl::StrCat("namespace ", ToAbsl(name_space), ": ", what));
}

const Namespace* FindNamespace(const NodeContext& context, std::string_view name) {
  for (const Namespace* name_space : context.namespaces.List()) {
    if (name_space->name == name) return name_space;
  }
  return nullptr;
}

std::map<std::string, EngineCounters> CountersByName(const Engine& engine) {
  std::map<std::string, EngineCounters> counters;
  for (const NamespaceEngineStats& stats : engine.Stats()) {
    counters[stats.name_space] = stats.counters;
  }
  return counters;
}

// What is left of `total` when the others keep what they have; 0 when there is no such bound.
size_t Left(size_t total, size_t used, size_t own) {
  if (total == 0) return 0;
  const size_t others = used - std::min(used, own);
  return std::max<size_t>(total - std::min(total, others), 1);
}

CacheShape PresentShape(const NodeContext& context, const Namespace& name_space) {
  const EngineOptions& options = context.engine.options();
  const EngineCounters own = CountersByName(context.engine)[name_space.name];
  CacheShape shape;
  shape.max_bytes = Left(options.capacity_bytes, context.engine.bytes(), own.bytes);
  shape.max_entries = Left(options.capacity_entries, context.engine.entries(), own.entries);
  shape.policy = options.policy;
  const std::shared_ptr<const NamespacePolicy> policy = name_space.policy();
  const std::vector<PoolPolicy>& pools = policy->pools;
  if (pools.empty()) return shape;
  size_t bytes = 0;
  size_t entries = 0;
  for (const PoolPolicy& pool : pools) {
    // One pool without a bound, and the namespace has none.
    bytes = pool.max_bytes == 0 || bytes == SIZE_MAX ? SIZE_MAX : bytes + pool.max_bytes;
    entries = pool.max_entries == 0 || entries == SIZE_MAX ? SIZE_MAX : entries + pool.max_entries;
  }
  shape.max_bytes = std::min(shape.max_bytes, bytes);
  if (entries != SIZE_MAX) {
    shape.max_entries = shape.max_entries == 0 ? entries : std::min(shape.max_entries, entries);
  }
  if (!pools[0].eviction.empty()) shape.policy = pools[0].eviction;
  return shape;
}

}  // namespace

std::variant<NamespaceWhatIf, Error> AskWhatIf(const NodeContext& context,
                                               std::string_view name_space, CacheShape asked) {
  if (asked.max_entries == 0 && asked.max_bytes == 0 && asked.ttl == absl::ZeroDuration() &&
      asked.policy.empty()) {
    return Refuse(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                  "nothing is asked: give max_entries, max_bytes, ttl_ms or policy", "max_entries");
  }
  const std::vector<std::string> known = EvictionPolicyNames();
  if (!asked.policy.empty() && std::find(known.begin(), known.end(), asked.policy) == known.end()) {
    return Refuse(grpc::StatusCode::INVALID_ARGUMENT, reason::kFieldInvalid,
                  absl::StrCat("unknown eviction policy; known: ", absl::StrJoin(known, ", ")),
                  "policy");
  }
  const Namespace* found = FindNamespace(context, name_space);
  if (found == nullptr) return NoTraffic(name_space, "this node has seen no request of it");
  if (found->traffic == nullptr) {
    return NoTraffic(
        name_space, absl::StrCat("it is not followed: only the first ", Namespaces::kMaxTrafficLogs,
                                 " namespaces that a node meets are"));
  }
  NamespaceWhatIf result;
  result.present = PresentShape(context, *found);
  const std::shared_ptr<const NamespacePolicy> policy = found->policy();
  result.present_ttl = policy->l1_ttl > absl::ZeroDuration() ? policy->l1_ttl : policy->ttl;
  if (asked.max_entries == 0) asked.max_entries = result.present.max_entries;
  if (asked.max_bytes == 0) asked.max_bytes = result.present.max_bytes;
  if (asked.policy.empty()) asked.policy = result.present.policy;
  result.asked = asked;
  const TrafficLog::Snapshot log = found->traffic->Copy();
  const absl::StatusOr<WhatIfAnswer> answer = PredictHitRate(log, result.present, asked);
  if (!answer.ok() && !absl::IsFailedPrecondition(answer.status())) {
    return FromStatus(answer.status());
  }
  const uint64_t seen = answer.ok() ? answer->requests : 0;
  if (seen < kLeastWhatIfRequests) {
    return NoTraffic(name_space, absl::StrCat("only ", seen,
                                              " reads were followed in the second half of the "
                                              "log; ask again when there are ",
                                              kLeastWhatIfRequests));
  }
  result.answer = *answer;
  result.sample_rate = log.rate;
  result.span = absl::Microseconds(log.requests.back().time_us - log.requests.front().time_us);
  return result;
}

void FitTrafficLogs(const NodeContext& context) {
  const std::map<std::string, EngineCounters> counters = CountersByName(context.engine);
  for (const Namespace* name_space : context.namespaces.List()) {
    if (name_space->traffic == nullptr) continue;
    const auto at = counters.find(name_space->name);
    if (at != counters.end()) name_space->traffic->FitTo(at->second.entries);
  }
}

}  // namespace meridian
