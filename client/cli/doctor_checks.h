// What `meridianctl doctor` finds in the facts of a cluster: each finding says what is unsafe or
// wrong and what to do.
//
// Thread safety: pure functions.

#ifndef MERIDIAN_CLIENT_CLI_DOCTOR_CHECKS_H_
#define MERIDIAN_CLIENT_CLI_DOCTOR_CHECKS_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/cli/doctor_facts.h"
#include "client/cli/exit_code.h"
#include "client/cli/style.h"

namespace meridian::cli {

enum class FindingSeverity { kInfo, kWarning, kCritical };

struct Finding {
  FindingSeverity severity = FindingSeverity::kInfo;
  std::string check;    // Stable name, such as redis_away.
  std::string about;    // Node, region or link.
  std::string summary;  // What is wrong.
  std::string advice;   // What to do.
};

// The worst first.
std::vector<Finding> Examine(const ClusterFacts& facts);

const char* SeverityName(FindingSeverity severity);  // "info", "warning", "critical".

// By the worst finding: 0 for none, or notes alone; 6 a warning; 7 something critical.
ExitCode ExitCodeOf(const std::vector<Finding>& findings);

std::string FindingsText(const ClusterFacts& facts, const std::vector<Finding>& findings,
                         const Style& style);
nlohmann::ordered_json FindingsJson(const ClusterFacts& facts,
                                    const std::vector<Finding>& findings);

}  // namespace meridian::cli

#endif  // MERIDIAN_CLIENT_CLI_DOCTOR_CHECKS_H_
