#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands.h"
#include "client/cli/contexts.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"

namespace meridian::cli {
namespace {

std::string Or(const std::string& text) { return text.empty() ? "-" : text; }

nlohmann::ordered_json ToJson(const Context& context, bool is_current) {
  nlohmann::ordered_json json = {{"name", context.name}, {"current", is_current}};
  if (!context.targets.empty()) json["targets"] = context.targets;
  if (!context.admin.empty()) json["admin"] = context.admin;
  if (!context.region.empty()) json["region"] = context.region;
  if (!context.cluster.empty()) json["cluster"] = context.cluster;
  if (!context.timeout.empty()) json["timeout"] = context.timeout;
  return json;
}

// The code of other commands that cannot use the file, or what was asked of it.
ExitCode Refuse(const Session& session, const absl::Status& status) {
  const ExitCode code = session.Fail(status);
  return absl::IsNotFound(status) || absl::IsInvalidArgument(status) ? kExitUsage : code;
}

ExitCode RunList(const Session& session) {
  auto file = LoadContexts(ContextsPath());
  if (absl::IsNotFound(file.status())) {
    session.Note(absl::StrCat("no contexts yet: ", file.status().message(),
                              " (meridianctl context --help shows such a file)"));
    file = ContextsFile();
  }
  if (!file.ok()) return Refuse(session, file.status());
  if (!file->current.empty() && !file->Current().ok()) {
    session.Note(std::string(file->Current().status().message()));
  }
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  TextTable table({"", "context", "targets", "region", "cluster file", "timeout"});
  for (const Context& context : file->contexts) {
    const bool is_current = context.name == file->current;
    list.push_back(ToJson(context, is_current));
    table.Add({is_current ? "*" : "", context.name, Or(absl::StrJoin(context.targets, ", ")),
               Or(context.region), Or(context.cluster), Or(context.timeout)});
  }
  if (session.json()) {
    session.PrintJson(list);
  } else if (!list.empty()) {
    session.Print(table.ToText());
  }
  return kExitOk;
}

ExitCode RunUse(const Session& session, const std::string& name) {
  if (const absl::Status used = UseContext(ContextsPath(), name); !used.ok()) {
    return Refuse(session, used);
  }
  if (session.json()) session.PrintJson({{"current", name}});
  return kExitOk;
}

ExitCode RunShow(const Session& session, const std::string& name) {
  const auto file = LoadContexts(ContextsPath());
  if (!file.ok()) return Refuse(session, file.status());
  const std::string wanted = name.empty() ? file->current : name;
  if (wanted.empty()) {
    session.Note(
        absl::StrCat(file->path, " names no current context: meridianctl context use NAME"));
    return kExitMiss;
  }
  const auto context = name.empty() ? file->Current() : file->Find(name);
  if (!context.ok()) return Refuse(session, context.status());
  if (session.json()) {
    session.PrintJson(ToJson(*context, wanted == file->current));
    return kExitOk;
  }
  session.Print(absl::StrCat(
      "context  ", context->name, "\ntargets  ", Or(absl::StrJoin(context->targets, ", ")),
      "\nadmin    ", Or(context->admin), "\nregion   ", Or(context->region), "\ncluster  ",
      Or(context->cluster), "\ntimeout  ", Or(context->timeout), "\nfile     ", file->path));
  return kExitOk;
}

}  // namespace

void AddContext(CLI::App& app, CommandContext context) {
  CLI::App* command =
      app.add_subcommand("context", "Name clusters, and choose the one that is asked");
  command->require_subcommand(1);
  command->footer(
      "Contexts are in ~/.config/meridian/contexts.yaml (MERIDIAN_CONTEXTS: another file):\n\n"
      "  current: us\n"
      "  contexts:\n"
      "    us: {targets: [cache-1.us:7400, cache-2.us:7400], timeout: 10s}\n"
      "    dev: {cluster: dev-cluster.json, region: us}\n\n"
      "--context NAME takes one for one command. --target, --admin and --cluster overrule what a "
      "context says\nof addresses, and so do MERIDIAN_TARGET and MERIDIAN_CLUSTER the current "
      "one.");
  CLI::App* list = command->add_subcommand("list", "Show all contexts; * is the current one");
  list->footer("Examples:\n  meridianctl context list");
  list->callback([context] {
    context.session.WorkOffline();
    context.action = [context] { return RunList(context.session); };
  });
  auto name = std::make_shared<std::string>();
  CLI::App* use = command->add_subcommand("use", "Make a context the current one");
  use->add_option("name", *name, "of the context")->required();
  use->footer("Examples:\n  meridianctl context use us");
  use->callback([context, name] {
    context.session.WorkOffline();
    context.action = [context, name] { return RunUse(context.session, *name); };
  });
  CLI::App* show =
      command->add_subcommand("show", "Show a context; without a name, the current one");
  show->add_option("name", *name, "of the context");
  show->footer("Examples:\n  meridianctl context show\n  meridianctl context show us --json");
  show->callback([context, name] {
    context.session.WorkOffline();
    context.action = [context, name] { return RunShow(context.session, *name); };
  });
}

}  // namespace meridian::cli
