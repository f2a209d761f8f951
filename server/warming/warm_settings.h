// WarmSettings is what a coordinator is told about warming in its YAML: schedules, what a
// cold cluster is given first, rules and budgets.
//
//   schedules:
//     hot:
//       cron: "@every 30m"
//       namespace: task
//       top: 50                     # hot keys, in place of keys
//       window: now                 # default; or next_hour, day, two_days
//       refresh: true               # default with what is hot now: loads them anew
//     nightly:
//       cron: "0 2 * * *"           # or @hourly, @every 30m
//       time_zone: Europe/Berlin    # default UTC
//       missed: once                # skip, once (default) or all
//       missed_limit: 100           # of `all`
//       namespace: persona
//       keys: ["{tone}-{pace}", "user:{1..500}"]
//       parts: {tone: [calm, frustrated], pace: [flowing, burst]}
//       priority: 10
//       deadline: 10m
//   startup:                        # once, when the cluster is cold; fields as of schedules
//     users: {namespace: user, top: 100, window: day, priority: 100}
//     first: {namespace: task, file: /etc/meridian/first-keys.txt, budget: fixed}  # or earned
//   rules:
//     task_accessed:
//       on: access                  # kind of event; of its namespace and key: of, key
//       of: task
//       key: "task:{id}"
//       fields: [project, assignees]
//       warm: {project: ["project:{project}"], user: ["user:{assignees}"]}
//       priority: 20
//       max_keys: 100               # of one event
//       not_again_for: 30s
//   budgets:
//     namespaces: {persona: 500}    # keys a second
//     origins:
//       users: {keys_per_second: 100, namespaces: [user, session]}
//
// Errors begin with file and line and name the schedule or rule, the field, the value and the rule.
// Thread safety: a value.

#ifndef MERIDIAN_SERVER_WARMING_WARM_SETTINGS_H_
#define MERIDIAN_SERVER_WARMING_WARM_SETTINGS_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/warming/warm_rule.h"
#include "server/warming/warm_schedule.h"

namespace YAML {
class Node;
}

namespace meridian {

// Keys a second. One origin's namespaces share its budget, besides their own.
struct WarmBudgets {
  double default_rate = 1000;  // Of a namespace that is not named.
  std::map<std::string, double> namespaces;
  std::map<std::string, double> origins;
  std::map<std::string, std::string> origin_of;  // Namespace -> origin.

  double RateOf(const std::string& name_space) const {
    const auto it = namespaces.find(name_space);
    return it == namespaces.end() ? default_rate : it->second;
  }
};

struct WarmSettings {
  static constexpr size_t kMaxSchedules = 1000;
  static constexpr size_t kMaxTop = 1000;
  static constexpr size_t kMaxRules = 1000;
  static constexpr double kMaxRate = 1e6;

  std::map<std::string, WarmSchedule> schedules;
  std::map<std::string, WarmSchedule> startup;  // Their time tables are empty.
  std::map<std::string, WarmRule> rules;
  WarmBudgets budgets;

  absl::Status ReadSchedules(const std::string& file, const YAML::Node& node);
  absl::Status ReadStartup(const std::string& file, const YAML::Node& node);
  absl::Status ReadRules(const std::string& file, const YAML::Node& node);
  absl::Status ReadBudgets(const std::string& file, const YAML::Node& node);
  // A file that has only these sections.
  absl::Status ReadFile(const std::string& file, const std::string& text);
};

}  // namespace meridian

#endif  // MERIDIAN_SERVER_WARMING_WARM_SETTINGS_H_
