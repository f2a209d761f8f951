#include "bench/sim/persona_trace.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/workloads/persona_workload.h"

namespace meridian::sim {
namespace {

constexpr absl::Duration kL1Ttl = absl::Seconds(60);

// {tone}-{pace}-{intent}: the same one with another intent, and the analytical one.
std::vector<std::string> RelatedPersonas(const std::string& key) {
  const std::vector<std::string> parts = absl::StrSplit(key, '-');
  if (parts.size() != 3) return {};
  return {absl::StrCat(parts[0], "-", parts[1], "-learning"),
          absl::StrCat("analytical-", parts[1], "-", parts[2])};
}

}  // namespace

Trace PersonaTrace(absl::Duration length) {
  PersonaWorkload workload({});
  std::unordered_map<std::string, uint64_t> numbers;
  const auto number_of = [&numbers](std::string_view name_space, const std::string& key) {
    return numbers.try_emplace(std::string(name_space) + "/" + key, numbers.size()).first->second;
  };
  std::vector<Request> requests;
  std::unordered_map<uint64_t, std::vector<uint64_t>> related;
  while (true) {
    const PersonaWorkload::Request next = workload.Next();
    if (next.at > length) break;
    for (const std::string& key : next.keys) {
      const uint64_t number = number_of(next.name_space, key);
      requests.push_back(
          {number, absl::ToInt64Nanoseconds(next.at), absl::ToInt64Nanoseconds(kL1Ttl), 1});
      if (next.endpoint != PersonaWorkload::kProcess || related.count(number) > 0) continue;
      for (const std::string& other : RelatedPersonas(key)) {
        const uint64_t wanted = number_of(next.name_space, other);
        if (wanted != number) related[number].push_back(wanted);
      }
    }
  }
  Trace trace = MakeTrace("persona", std::move(requests));
  trace.related = std::move(related);
  return trace;
}

}  // namespace meridian::sim
