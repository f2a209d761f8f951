// What the checks of `meridianctl doctor` write down, and the checks by what they look at.

#ifndef MERIDIAN_CLIENT_CLI_DOCTOR_FINDINGS_H_
#define MERIDIAN_CLIENT_CLI_DOCTOR_FINDINGS_H_

#include <string>
#include <utility>
#include <vector>

#include "client/cli/doctor_checks.h"
#include "client/cli/doctor_facts.h"

namespace meridian::cli {

class Findings {
 public:
  const std::vector<Finding>& all() const { return findings_; }
  std::vector<Finding> Take() { return std::move(findings_); }

  void Add(FindingSeverity severity, const char* check, std::string about, std::string summary,
           std::string advice) {
    findings_.push_back({severity, check, std::move(about), std::move(summary), std::move(advice)});
  }
  void Critical(const char* check, std::string about, std::string summary, std::string advice) {
    Add(FindingSeverity::kCritical, check, std::move(about), std::move(summary), std::move(advice));
  }
  void Warning(const char* check, std::string about, std::string summary, std::string advice) {
    Add(FindingSeverity::kWarning, check, std::move(about), std::move(summary), std::move(advice));
  }
  void Info(const char* check, std::string about, std::string summary, std::string advice) {
    Add(FindingSeverity::kInfo, check, std::move(about), std::move(summary), std::move(advice));
  }

 private:
  std::vector<Finding> findings_;
};

// Above this part, memory is nearly full.
inline constexpr double kNearFull = 0.90;

// Each node, its memory, certificate and Redis; releases, clocks and TLS of all.
void CheckNodes(const ClusterFacts& facts, Findings* findings);
// Each region: topology, slots, coordinators, its Redis; replication between them.
void CheckRegions(const ClusterFacts& facts, Findings* findings);
// A region's Redis, as `nodes` tell of it that answered; one at least.
void CheckRegionRedis(const std::string& region, const std::vector<const NodeFacts*>& nodes,
                      Findings* findings);
// Where these nodes of one region, which all answered, have what only one of them may have: another
// Redis, other regions, policies, or memory.
void CheckRegionAgrees(const std::string& region, const std::vector<const NodeFacts*>& nodes,
                       absl::Time now, Findings* findings);
// True of what a node says when its Redis cannot save: CheckRegionRedis tells it.
bool IsDiskWarning(const std::string& warning);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_DOCTOR_FINDINGS_H_
