#include "bench/sim/session_trace.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bench/workloads/session_workload.h"

namespace meridian::sim {

Trace SessionTrace(absl::Duration length) {
  SessionWorkload workload({});
  std::unordered_map<std::string, uint64_t> numbers;
  const auto number_of = [&numbers](const std::string& key) {
    return numbers.try_emplace(key, numbers.size()).first->second;
  };
  std::vector<Request> requests;
  std::unordered_map<uint64_t, std::vector<uint64_t>> related;
  while (true) {
    const SessionWorkload::Request next = workload.Next();
    if (next.at > length) break;
    const uint64_t number = number_of(next.key);
    requests.push_back({number, absl::ToInt64Nanoseconds(next.at),
                        absl::ToInt64Nanoseconds(next.ttl), 1, next.session});
    for (const std::string& key : workload.Related(next.key)) {
      std::vector<uint64_t>& keys = related[number];
      const uint64_t other = number_of(key);
      if (std::find(keys.begin(), keys.end(), other) == keys.end()) keys.push_back(other);
    }
  }
  Trace trace = MakeTrace("sessions", std::move(requests));
  trace.related = std::move(related);
  return trace;
}

}  // namespace meridian::sim
