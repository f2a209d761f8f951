#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/commands.h"
#include "client/cli/coordinator.h"
#include "client/cli/session.h"
#include "client/cli/style.h"
#include "client/cli/text_table.h"

namespace meridian::cli {
namespace {

using coordinator::v1::Alert;
using coordinator::v1::ListAlertsResponse;

struct AlertsArguments {
  std::string coordinator;
  bool all = false;
};

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

// "node=n1", sorted; a map has no order.
std::string LabelsText(const Alert& alert) {
  std::map<std::string, std::string> labels(alert.labels().begin(), alert.labels().end());
  return absl::StrJoin(labels, ",", absl::PairFormatter("="));
}

void Show(const Session& session, const ListAlertsResponse& answer) {
  if (answer.alerts().empty()) {
    session.Print("no alerts");
    return;
  }
  const Style style = session.OutStyle();
  TextTable table({"state", "severity", "alert", "about", "since", "summary"});
  for (const Alert& alert : answer.alerts()) {
    const bool fires = alert.state() == "firing";
    table.Add({alert.state(),
               fires ? style.Severity(alert.severity(), alert.severity()) : alert.severity(),
               alert.name(), LabelsText(alert), TimeText(alert.since()), alert.summary()});
  }
  session.Print(table.ToText());
}

ExitCode RunAlerts(const Session& session, const AlertsArguments& arguments) {
  coordinator::v1::ListAlertsRequest request;
  request.set_include_resolved(arguments.all);
  return ShowFromLeader<ListAlertsResponse>(
      session, arguments.coordinator, &coordinator::v1::CoordinatorService::Stub::ListAlerts,
      request, [&session](const ListAlertsResponse& answer) { Show(session, answer); });
}

}  // namespace

void AddAlerts(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<AlertsArguments>();
  CLI::App* command = app.add_subcommand("alerts", "Show what is wrong in a region");
  command->add_flag("--all", arguments->all, "Also those that ended, the last 200");
  AddCoordinatorOption(*command, arguments->coordinator);
  command->footer(
      "The region's leading coordinator looks each second. pending: the condition holds, not yet "
      "for "
      "long\nenough. What an alert means and what to do: docs/runbooks/ALERT.md.\n\n"
      "Examples:\n"
      "  meridianctl alerts --region us\n"
      "  meridianctl alerts --all --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunAlerts(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
