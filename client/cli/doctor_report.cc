// What the findings are called, shown as and worth.
#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/doctor_checks.h"

namespace meridian::cli {
namespace {

FindingSeverity Worst(const std::vector<Finding>& findings) {
  FindingSeverity worst = FindingSeverity::kInfo;
  for (const Finding& finding : findings) worst = std::max(worst, finding.severity);
  return worst;
}

std::string Counts(const std::vector<Finding>& findings) {
  std::map<FindingSeverity, int> counts;
  for (const Finding& finding : findings) ++counts[finding.severity];
  return absl::StrCat(counts[FindingSeverity::kCritical], " critical, ",
                      counts[FindingSeverity::kWarning], " warnings, ",
                      counts[FindingSeverity::kInfo], " notes");
}

}  // namespace

const char* SeverityName(FindingSeverity severity) {
  switch (severity) {
    case FindingSeverity::kCritical:
      return "critical";
    case FindingSeverity::kWarning:
      return "warning";
    default:
      return "info";
  }
}

ExitCode ExitCodeOf(const std::vector<Finding>& findings) {
  switch (Worst(findings)) {
    case FindingSeverity::kCritical:
      return kExitCritical;
    case FindingSeverity::kWarning:
      return kExitWarning;
    default:
      return kExitOk;
  }
}

std::string FindingsText(const ClusterFacts& facts, const std::vector<Finding>& findings,
                         const Style& style) {
  std::string text;
  for (const Finding& finding : findings) {
    const char* severity = SeverityName(finding.severity);
    absl::StrAppend(&text, style.Severity(severity, absl::StrFormat("%-8s", severity)), "  ",
                    style.Bold(finding.about), ": ", finding.summary, "  [", finding.check, "]\n");
    if (!finding.advice.empty()) absl::StrAppend(&text, "          do: ", finding.advice, "\n");
  }
  absl::StrAppend(&text, facts.nodes.size(), " nodes of ", absl::StrJoin(facts.Regions(), ", "),
                  " and ", facts.coordinators.size(), " coordinators looked at: ",
                  findings.empty() ? style.Green("nothing to complain of") : Counts(findings));
  return text;
}

nlohmann::ordered_json FindingsJson(const ClusterFacts& facts,
                                    const std::vector<Finding>& findings) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    list.push_back({{"severity", SeverityName(finding.severity)},
                    {"check", finding.check},
                    {"about", finding.about},
                    {"summary", finding.summary},
                    {"advice", finding.advice}});
  }
  return {{"nodes", facts.nodes.size()},
          {"coordinators", facts.coordinators.size()},
          {"regions", facts.Regions()},
          {"worst", findings.empty() ? "none" : SeverityName(Worst(findings))},
          {"findings", std::move(list)}};
}

}  // namespace meridian::cli
