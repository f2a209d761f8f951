#include "server/coordinator/warming_json.h"

#include <map>
#include <string>
#include <utility>

#include "common/rpc/error.h"
#include "common/rpc/proto_json.h"
#include "server/coordinator/warm_calls.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

constexpr uint32_t kMaxWarmJobs = 100;

// By source and namespace, summed over the nodes.
ordered_json WarmedJson(const std::vector<admin::v1::GetFiguresResponse>& answers) {
  std::map<std::pair<std::string, std::string>, admin::v1::WarmedFigures> sums;
  for (const admin::v1::GetFiguresResponse& answer : answers) {
    for (const admin::v1::WarmedFigures& row : answer.warmed()) {
      admin::v1::WarmedFigures& sum = sums[{row.source(), row.namespace_()}];
      sum.set_source(row.source());
      sum.set_namespace_(row.namespace_());
      sum.set_warmed_entries(sum.warmed_entries() + row.warmed_entries());
      sum.set_used_entries(sum.used_entries() + row.used_entries());
      sum.set_unused_entries(sum.unused_entries() + row.unused_entries());
      sum.set_displaced_entries(sum.displaced_entries() + row.displaced_entries());
    }
  }
  ordered_json list = ordered_json::array();
  for (const auto& [key, row] : sums) list.push_back(ToJson(row));
  return list;
}

const char* MissedName(MissedRuns missed) {
  switch (missed) {
    case MissedRuns::kSkip:
      return "skip";
    case MissedRuns::kOnce:
      return "once";
    case MissedRuns::kAll:
      return "all";
  }
  return "";
}

ordered_json SchedulesJson(const WarmSettings& settings, absl::Time now) {
  ordered_json list = ordered_json::array();
  for (const auto& [name, schedule] : settings.schedules) {
    const absl::Time next = schedule.cron.Next(now);
    const size_t zone = schedule.table.rfind('|');  // Cron and zone.
    ordered_json row = {{"name", name},
                        {"namespace", schedule.name_space},
                        {"cron", schedule.table.substr(0, zone)},
                        {"time_zone", schedule.table.substr(zone + 1)},
                        {"next_run", nullptr},
                        {"missed", MissedName(schedule.missed)},
                        {"priority", schedule.priority},
                        {"keys", schedule.top > 0 ? schedule.top : schedule.total_keys},
                        {"hot_keys", schedule.top > 0}};
    if (next != absl::InfiniteFuture()) {
      row["next_run"] = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", next, absl::UTCTimeZone());
    }
    list.push_back(std::move(row));
  }
  return list;
}

}  // namespace

absl::StatusOr<ordered_json> WarmingJson(
    const Warmer& warmer, const std::vector<admin::v1::GetFiguresResponse>& answers,
    absl::Time now) {
  coordinator::v1::ListWarmJobsRequest request;
  request.set_page_size(kMaxWarmJobs);
  coordinator::v1::ListWarmJobsResponse jobs;
  coordinator::v1::ListWarmSourcesResponse sources;
  grpc::Status status = ListWarmJobs(warmer, request, &jobs);
  if (status.ok()) status = ListWarmSources(warmer, {}, &sources);
  if (!status.ok()) return absl::UnavailableError(FromGrpcStatus(status).message);
  const WarmBudgets& budgets = warmer.settings()->budgets;
  ordered_json json;
  json["jobs"] = ToJson(jobs)["jobs"];
  json["warmed"] = WarmedJson(answers);
  json["sources"] = ToJson(sources)["sources"];
  json["schedules"] = SchedulesJson(*warmer.settings(), now);
  json["budgets"] = {{"default_keys_per_second", budgets.default_rate},
                     {"namespaces", budgets.namespaces},
                     {"origins", budgets.origins}};
  json["settings_problem"] = warmer.settings_problem();
  return json;
}

}  // namespace meridian
