// SourcesWorkload generates the traffic of the systems that Meridian serves (docs/requirements.md):
//
// namespace       keys                                count  skew  bytes     TTL, s  updates
// persona         {tone}-{pace}-{intent}              100    1.0   2560      3600    0.1 % set
// recommend       recommend:{scenario}:{context_hash} 500    0.9   4096      600     1 % set
// item            item:{id}:{resonance_key}           20,000 0.8   300-900   300     0.5 % set
// assessment      assessment:{id}:details             5,000  80/20 1500-6000 60, 300 3 % invalidate
// dashboard       dashboard:overview:{user_id}        2,000  80/20 1800      60      none
// recommendations recommendations:{id}:list           5,000  80/20 2500      300     1 % invalidate
// task            context:task:{id}                   10,000 1.0   600       300     8 % + 2 % both
// project         context:project:{id}                500    0.8   1200      900     2 % set
// user            context:user:{id}                   2,000  0.9   400       600     3 % set
// git_branch      context:git_branch:{id}             2,000  0.9   300       1200    2 % set
// agent           context:agent:{id}                  60     0.6   2000      3600    0.2 % set
// template        context:template:{id}               120    0.6   8000      7200    0.1 % set
//
// Source 000: 100 persona combinations of about 2.5 KB (2.5 MB for 1000 entries), 500
// recommendation sets cached for 600 s, bulk requests of 20-60 items taken apart into items cached
// for 300 s.
// Source 004: assessments cached for 60 s while in progress (one in five), else 300 s,
// invalidated on PUT and DELETE; recommendations invalidated when they are generated anew; Pareto
// 80/20.
// Source 002: contexts with the TTL of medium volatility; the more volatile, the more
// updates. Counts of items, users and projects are not in the sources and are ours.
//
// Promise: equal seeds give equal streams. Not thread safe, but for KeyText.

#ifndef MERIDIAN_CLIENT_CLI_REPLAY_WORKLOAD_H_
#define MERIDIAN_CLIENT_CLI_REPLAY_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "client/cli/replay_random.h"
#include "client/cli/replay_source.h"

namespace meridian::cli {

class SourcesWorkload final : public RequestSource {
 public:
  // Ends after `requests` requests.
  SourcesWorkload(uint64_t seed, uint64_t requests);

  bool Next(ReplayRequest* request) override;
  absl::Status status() const override { return absl::OkStatus(); }
  const std::vector<std::string>& namespaces() const override { return namespaces_; }
  std::string KeyText(uint64_t key) const override;

 private:
  ReplayRequest Draw(size_t kind);

  ReplayRandom random_;
  uint64_t left_;
  int bulk_left_ = 0;  // Items of the bulk request that is being sent.
  std::vector<std::string> namespaces_;
  std::vector<ZipfDraw> draws_;     // By kind.
  std::vector<double> cumulative_;  // Share of the traffic, by kind.
};

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_REPLAY_WORKLOAD_H_
