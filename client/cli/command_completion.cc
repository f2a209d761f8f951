#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/cli/command_table.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/man_page.h"
#include "client/cli/session.h"

namespace meridian::cli {

void AddCompletion(CLI::App& app, CommandContext context) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print a script that completes commands in a shell");
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->footer(
      "Examples:\n"
      "  source <(meridianctl completion bash)\n"
      "  meridianctl completion zsh > ~/.zfunc/_meridianctl   # a folder of $fpath\n"
      "  meridianctl completion fish > ~/.config/fish/completions/meridianctl.fish");
  command->callback([context, shell, &app] {
    context.session.WorkOffline();
    context.action = [context, shell, &app] {
      const CommandEntry table = TableOf(app);
      const std::string script = *shell == "bash"  ? BashCompletion(table)
                                 : *shell == "zsh" ? ZshCompletion(table)
                                                   : FishCompletion(table);
      context.session.PrintRaw(script);
      return kExitOk;
    };
  });
}

void AddMan(CLI::App& app, CommandContext context) {
  CLI::App* command = app.add_subcommand("man", "Print the man page");
  command->footer(
      "Examples:\n"
      "  meridianctl man | man -l -\n"
      "  meridianctl man > /usr/local/share/man/man1/meridianctl.1");
  command->callback([context, &app] {
    context.session.WorkOffline();
    context.action = [context, &app] {
      context.session.PrintRaw(ManPage(TableOf(app), MERIDIAN_VERSION));
      return kExitOk;
    };
  });
}

}  // namespace meridian::cli
