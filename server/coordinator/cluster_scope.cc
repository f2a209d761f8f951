#include "server/coordinator/cluster_scope.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/strings.h"
#include "common/rpc/timestamp.h"

namespace meridian {
namespace {

using nlohmann::ordered_json;

// Of the overview's totals, those of which a sum says something.
constexpr const char* kSums[] = {"nodes",
                                 "nodes_alive",
                                 "hits",
                                 "misses",
                                 "errors",
                                 "l1_hits",
                                 "l2_hits",
                                 "requests_per_second",
                                 "calls_per_second",
                                 "errors_per_second",
                                 "evictions_per_second",
                                 "origin_keys_per_second",
                                 "l1_entries",
                                 "l1_bytes",
                                 "l1_limit_bytes",
                                 "l2_used_bytes",
                                 "l2_limit_bytes",
                                 "resident_bytes",
                                 "cpu_cores",
                                 "time_saved_seconds",
                                 "origin_queries_avoided"};

// Adds a number of either kind; what is none is left out.
void AddNumber(const ordered_json& value, ordered_json* sum) {
  if (value.is_number_unsigned() && sum->is_number_unsigned()) {
    *sum = sum->get<uint64_t>() + value.get<uint64_t>();
  } else if (value.is_number()) {
    *sum = sum->get<double>() + value.get<double>();
  }
}

ordered_json TotalsOf(const std::vector<ordered_json>& overviews) {
  ordered_json totals;
  for (const char* name : kSums) {
    ordered_json& sum = totals[name] = uint64_t{0};
    for (const ordered_json& overview : overviews) {
      const auto found = overview.find("totals");
      if (found != overview.end() && found->is_object() && found->contains(name)) {
        AddNumber((*found)[name], &sum);
      }
    }
  }
  return totals;
}

}  // namespace

std::variant<ScopedQuery, HttpReply> TakeScope(std::string_view query) {
  ScopedQuery scoped;
  std::vector<std::string> rest;
  size_t scopes = 0;
  for (const absl::string_view part : absl::StrSplit(ToAbsl(query), '&', absl::SkipEmpty())) {
    if (part != "scope" && !absl::StartsWith(part, "scope=")) {
      rest.emplace_back(part);
      continue;
    }
    scoped.cluster = part == "scope=cluster";
    if (++scopes > 1 || (!scoped.cluster && part != "scope=region")) {
      return JsonError(400, "QUERY_INVALID", "scope is region or cluster, once");
    }
  }
  scoped.rest = absl::StrJoin(rest, "&");
  return scoped;
}

HttpReply ClusterReply(const std::vector<RegionAnswer>& regions, bool with_totals, absl::Time now) {
  ordered_json list = ordered_json::array();
  std::vector<ordered_json> known;
  for (const RegionAnswer& region : regions) {
    ordered_json answer = nullptr;
    std::string problem = region.problem;
    if (region.body.has_value()) {
      answer = ordered_json::parse(*region.body, nullptr, /*allow_exceptions=*/false);
      if (!answer.is_object()) {
        answer = nullptr;
        problem = "what it answers is no JSON object";
      }
    }
    ordered_json age = nullptr;
    if (region.age.has_value()) age = absl::ToDoubleSeconds(*region.age);
    list.push_back({{"region", region.region},
                    {"known", !answer.is_null()},
                    {"age_seconds", std::move(age)},
                    {"problem", problem}});
    if (!answer.is_null()) known.push_back(answer);
    list.back()["answer"] = std::move(answer);
  }
  ordered_json json;
  json["scope"] = "cluster";
  json["timestamp"] = Rfc3339(now);
  json["regions_total"] = regions.size();
  json["regions_known"] = known.size();
  if (with_totals) json["totals"] = TotalsOf(known);
  json["regions"] = std::move(list);
  return JsonReply(json);
}

}  // namespace meridian
