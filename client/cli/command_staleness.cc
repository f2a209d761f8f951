#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

// By namespace, region and bound: "1s" before "10s" before "60s".
using BoundKey = std::tuple<std::string, std::string, size_t, std::string>;

// Adds one node's counts; the ratio is that of all samples.
void Merge(const admin::v1::StalenessBound& bound, admin::v1::StalenessBound* sum) {
  const double right = sum->correct_ratio() * static_cast<double>(sum->samples()) +
                       bound.correct_ratio() * static_cast<double>(bound.samples());
  const uint64_t samples = sum->samples() + bound.samples();
  *sum = bound;
  sum->set_samples(samples);
  sum->set_correct_ratio(samples == 0 ? 0 : right / static_cast<double>(samples));
}

// "3 nines"; with no wrong sample, as many as that many samples can show.
std::string Nines(const admin::v1::StalenessBound& bound) {
  const double wrong = (1 - bound.correct_ratio()) * static_cast<double>(bound.samples());
  const bool none = wrong < 0.5;
  const double share = (none ? 1.0 : wrong) / static_cast<double>(bound.samples());
  const int nines = std::max(0, static_cast<int>(std::floor(-std::log10(share) + 1e-9)));
  return absl::StrCat(none ? "at least " : "", nines, nines == 1 ? " nine" : " nines");
}

// A key as it is; a fence as "tag red", "prefix auth:" or "namespace".
std::string WhatOf(const admin::v1::StalenessIncident& incident) {
  const std::string name = absl::CHexEscape(incident.key());
  if (incident.fence().empty()) return name;
  return name.empty() ? incident.fence() : absl::StrCat(incident.fence(), " ", name);
}

std::string Incidents(const admin::v1::GetStalenessResponse& all) {
  if (all.incidents().empty()) return "no incidents";
  TextTable table({"first seen (UTC)", "namespace", "key or fence", "slot", "region", "place",
                   "cause", "wrong for", "now"});
  for (const admin::v1::StalenessIncident& incident : all.incidents()) {
    table.Add(
        {absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixMillis(incident.at_unix_ms()),
                          absl::UTCTimeZone()),
         incident.namespace_(), WhatOf(incident), absl::StrCat(incident.slot()), incident.region(),
         incident.place(), incident.cause(),
         absl::StrCat(DurationText(absl::Milliseconds(static_cast<int64_t>(incident.age_ms()))),
                      " or more"),
         incident.over() ? "right" : "unknown"});
  }
  return table.ToText();
}

ExitCode RunStaleness(const Session& session, const std::string& name_space) {
  ResultError error;
  admin::v1::GetStalenessRequest request;
  request.set_namespace_(name_space);
  std::map<BoundKey, admin::v1::StalenessBound> bounds;
  admin::v1::GetStalenessResponse all;
  bool any = false;
  for (const std::string& address : AllAdminAddresses(session, &error)) {
    admin::v1::GetStalenessResponse answer;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::GetStaleness, request,
                                           &answer, &error)) {
      session.Note(absl::StrCat("warning: ", error.message));
      continue;
    }
    any = true;
    for (const admin::v1::StalenessBound& bound : answer.bounds()) {
      Merge(bound,
            &bounds[{bound.namespace_(), bound.region(), bound.within().size(), bound.within()}]);
    }
    all.mutable_incidents()->MergeFrom(answer.incidents());
    all.set_incidents_total(all.incidents_total() + answer.incidents_total());
    all.set_changes_sampled_total(all.changes_sampled_total() + answer.changes_sampled_total());
    all.set_fences_sampled_total(all.fences_sampled_total() + answer.fences_sampled_total());
    all.set_unanswered_total(all.unanswered_total() + answer.unanswered_total());
  }
  if (!any) return session.Fail(error);
  std::sort(all.mutable_incidents()->begin(), all.mutable_incidents()->end(),
            [](const auto& a, const auto& b) { return a.at_unix_ms() < b.at_unix_ms(); });
  TextTable table({"namespace", "region", "within", "right", "", "looks"});
  for (const auto& [key, bound] : bounds) {
    *all.add_bounds() = bound;
    table.Add({bound.namespace_(), bound.region(), bound.within(),
               absl::StrFormat("%.4f %%", 100 * bound.correct_ratio()), Nines(bound),
               absl::StrCat(bound.samples())});
  }
  if (session.json()) {
    session.PrintJson(ToJson(all));
    return kExitOk;
  }
  session.Print(bounds.empty() ? "no change was followed yet: one of --staleness-one-in is, for a "
                                 "minute"
                               : table.ToText());
  session.Print(absl::StrCat("\n", all.changes_sampled_total(), " changes and ",
                             all.fences_sampled_total(), " fences followed, ",
                             all.incidents_total(), " incidents, ", all.unanswered_total(),
                             " looks unanswered\n", Incidents(all)));
  return kExitOk;
}

}  // namespace

void AddStaleness(CLI::App& app, CommandContext context) {
  auto name_space = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "staleness",
      "Show how soon changes are everywhere, as it was measured, and where they were not");
  command->add_option("NAMESPACE", *name_space, "Only this data type");
  command->footer(
      "Nodes follow a share of all changes (--staleness-one-in), and fences, and look 1 s, 10 s "
      "and\n"
      "60 s later at every node of the region, its mirror of the key, and the Redis of every "
      "region.\n"
      "A place that would serve an older value later than 1 s (10 s in other regions and from a\n"
      "mirror), or that lacks a fence, is an incident.\n\n"
      "Examples:\n"
      "  meridianctl staleness\n"
      "  meridianctl staleness persona --json");
  command->callback([context, name_space] {
    context.action = [context, name_space] { return RunStaleness(context.session, *name_space); };
  });
}

}  // namespace meridian::cli
