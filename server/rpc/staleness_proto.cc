#include "server/rpc/staleness_proto.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/rpc/topology_proto.h"

namespace meridian {

namespace {

const char* ScopeName(FenceScope scope) {
  switch (scope) {
    case FenceScope::kNamespace:
      return "namespace";
    case FenceScope::kPrefix:
      return "prefix";
    case FenceScope::kTag:
      return "tag";
  }
  return "";
}

}  // namespace

void FillStaleness(const StalenessReport& report, std::string_view only,
                   admin::v1::GetStalenessResponse* response) {
  const auto wanted = [only](const std::string& name_space) {
    return only.empty() || name_space == only;
  };
  for (const StalenessRow& row : report.rows) {
    if (!wanted(row.name_space)) continue;
    for (size_t age = 0; age < kStalenessAges.size(); ++age) {
      const uint64_t samples = row.right[age] + row.wrong[age];
      if (samples == 0) continue;
      admin::v1::StalenessBound* bound = response->add_bounds();
      bound->set_namespace_(row.name_space);
      bound->set_region(row.region);
      bound->set_within(absl::StrCat(absl::ToInt64Seconds(kStalenessAges[age]), "s"));
      bound->set_correct_ratio(static_cast<double>(row.right[age]) / static_cast<double>(samples));
      bound->set_samples(samples);
    }
  }
  for (const StalenessIncident& incident : report.incidents) {
    if (!wanted(incident.name_space)) continue;
    admin::v1::StalenessIncident* proto = response->add_incidents();
    proto->set_at_unix_ms(absl::ToUnixMillis(incident.at));
    proto->set_namespace_(incident.name_space);
    proto->set_key(incident.key);
    proto->set_slot(incident.slot);
    proto->set_region(incident.region);
    proto->set_place(incident.place);
    proto->set_age_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(incident.age)));
    proto->set_over(incident.over);
    ToProto(incident.expected, proto->mutable_expected());
    ToProto(incident.found, proto->mutable_found());
    proto->set_cause(incident.cause);
    if (incident.fence) proto->set_fence(ScopeName(*incident.fence));
  }
  response->set_incidents_total(report.incidents_total);
  response->set_changes_sampled_total(report.sampled_total);
  response->set_fences_sampled_total(report.fences_sampled_total);
  response->set_unanswered_total(report.unanswered_total);
}

}  // namespace meridian
