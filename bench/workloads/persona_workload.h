// PersonaWorkload is the traffic of source 000 (docs/requirements.md, 0-03 to 0-19), as a model.
//
// What the source states, the model takes: the miss ratios of its endpoints (0-05), TTLs of 60 s in
// L1 and 300 s in L2 (0-03, 0-04), about 50 requests a second (a canary of 10 %, 0-20). What it
// does not state is chosen so that the baseline comes out, and nothing else:
// - requests arrive by a Poisson process; each endpoint asks for its keys by Zipf's law;
// - the number of an endpoint's keys follows from its miss ratio: under a Poisson process a key
//   that is asked for r times a second and kept for T seconds misses once in 1 + r T requests;
// - the shares of the endpoints are those that give 82.3 % together (17.7 = 0.15*9 + 0.20*15 +
//   0.60*22 + 0.05*2; /cache-stats is not cached);
// - rate and Zipf exponent are the two free numbers. They are fitted to two figures of the
//   baseline, 64.2 % in L1 and 145 evictions an hour at 1000 entries. Then the L1 is just full, as it says.
// - a value is JSON text of 2.5 KB on average (2.5 MB / 1000 items, 0-03), sizes log-normal.
// - a bulk request names 5 items; which batches share items the source does not say: `item_pool`.
//
// Thread safety: none.

#ifndef MERIDIAN_BENCH_WORKLOADS_PERSONA_WORKLOAD_H_
#define MERIDIAN_BENCH_WORKLOADS_PERSONA_WORKLOAD_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

struct PersonaOptions {
  double requests_per_second = 45.7;
  double zipf_exponent = 0.965;
  uint64_t seed = 1;
  bool bulk_by_item = false;  // 0-15: a bulk request asks for its items, not for its batch.
  int items_per_batch = 5;
  int item_pool = 3000;  // Items that all batches together are made of.
};

class PersonaWorkload {
 public:
  // The endpoints. Their namespaces are those of config/persona.yaml.
  enum Endpoint { kProcess, kRecommend, kBulk, kPersonas, kEndpoints };

  struct Request {
    absl::Duration at;  // Since the start.
    Endpoint endpoint;
    std::string_view name_space;
    std::vector<std::string> keys;
  };

  explicit PersonaWorkload(PersonaOptions options);

  Request Next();

  // The keys of `/process` that are asked for most, for warming: {tone}-{pace}-{intent} (0-07).
  std::vector<std::string> TopCombinations(size_t count) const;

  static std::string_view NamespaceOf(Endpoint endpoint);
  // What the source says of the endpoint's requests, hits in L1 or L2 (0-05).
  static double StatedMissRatio(Endpoint endpoint);
  size_t keys(Endpoint endpoint) const { return cumulative_[endpoint].size(); }

 private:
  static std::string KeyOf(Endpoint endpoint, size_t rank);
  size_t DrawRank(Endpoint endpoint);

  const PersonaOptions options_;
  std::mt19937_64 rng_;
  absl::Duration now_;
  std::vector<double> cumulative_[kEndpoints];
};

}  // namespace meridian

#endif  // MERIDIAN_BENCH_WORKLOADS_PERSONA_WORKLOAD_H_
