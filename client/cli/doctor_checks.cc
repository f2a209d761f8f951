#include "client/cli/doctor_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/doctor_findings.h"

namespace meridian::cli {
namespace {

// Whether a finding says the same.
bool IsKnown(const Findings& findings, const coordinator::v1::Alert& alert) {
  static const auto& kChecks = *new std::map<std::string, std::set<std::string>>{
      {"MeridianNodeDown", {"node_down"}},
      {"MeridianEpochsDisagree", {"epochs"}},
      {"MeridianRedisAway", {"redis_away"}},
      {"MeridianRedisCircuitOpen", {"redis_circuit", "redis_away"}},
      {"MeridianReplicationLag", {"replication_lag", "replication_lost"}},
      {"MeridianReplicationStuck", {"replication_lag", "replication_lost"}},
      {"MeridianReplicationCut", {"replication_cut"}},
      {"MeridianReplicationLost", {"suspect_slots"}},
      {"MeridianOriginBreakerOpen", {"origin_away"}},
      {"MeridianCertificateExpires", {"certificate"}}};
  const auto checks = kChecks.find(alert.name());
  if (checks == kChecks.end()) return false;
  return std::any_of(findings.all().begin(), findings.all().end(), [&](const Finding& finding) {
    if (checks->second.count(finding.check) == 0) return false;
    for (const char* label : {"node", "to", "coordinator", "namespace"}) {
      const auto value = alert.labels().find(label);
      if (value != alert.labels().end() && !absl::EndsWith(finding.about, value->second)) {
        return false;
      }
    }
    return true;
  });
}

void CheckAlerts(const ClusterFacts& facts, Findings* findings) {
  for (const coordinator::v1::Alert& alert : facts.alerts) {
    if (alert.state() != "firing" || IsKnown(*findings, alert)) continue;
    const FindingSeverity severity = alert.severity() == "critical"  ? FindingSeverity::kCritical
                                     : alert.severity() == "warning" ? FindingSeverity::kWarning
                                                                     : FindingSeverity::kInfo;
    const auto region = alert.labels().find("region");
    findings->Add(severity, "alert", region == alert.labels().end() ? "cluster" : region->second,
                  absl::StrCat("alert ", alert.name(), " fires: ", alert.summary()),
                  absl::StrCat("docs/runbooks/", alert.name(), ".md"));
  }
}

}  // namespace

std::vector<Finding> Examine(const ClusterFacts& facts) {
  Findings findings;
  CheckNodes(facts, &findings);
  CheckRegions(facts, &findings);
  CheckAlerts(facts, &findings);
  std::vector<Finding> all = findings.Take();
  std::stable_sort(all.begin(), all.end(),
                   [](const Finding& a, const Finding& b) { return a.severity > b.severity; });
  return all;
}

}  // namespace meridian::cli
