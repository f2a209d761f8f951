// Completion and man page know every command and every option, because the parser does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/all_commands.h"
#include "client/cli/command_table.h"
#include "client/cli/completion.h"
#include "client/cli/man_page.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"

namespace meridian::cli {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CommandTableTest : public ::testing::Test {
 protected:
  void SetUp() override { AddAllCommands(app_, {session_, action_}); }

  // What bash offers after `words`; the last one may be begun.
  std::vector<std::string> Offered(const std::string& words) {
    const TempDir dir;
    WriteFile(dir / "completion", BashCompletion(TableOf(app_)));
    const CommandResult result =
        RunCommand({"bash", "-c",
                    absl::StrCat("source ", dir / "completion", "; COMP_WORDS=(meridianctl ", words,
                                 "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _meridianctl; "
                                 "printf '%s\\n' \"${COMPREPLY[@]}\"")});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.err, IsEmpty());
    return absl::StrSplit(result.out, '\n', absl::SkipEmpty());
  }

  Session session_;
  Action action_;
  CLI::App app_{"Meridian.", "meridianctl"};
};

// Whether a whole script or document has `part`; it itself would bury what is missing.
::testing::AssertionResult Has(const std::string& text, const std::string& part) {
  if (absl::StrContains(text, part)) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "there is no " << part;
}

// Walks the parser itself, not the table.
void ForAll(const CLI::App& app, const std::string& path,
            const std::function<void(const CLI::App&, const std::string&)>& visit) {
  visit(app, path);
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    ForAll(*command, absl::StrCat(path, path.empty() ? "" : " ", command->get_name()), visit);
  }
}

TEST_F(CommandTableTest, BashOffersEveryCommandAndEveryOption) {
  int commands = 0, options = 0;
  ForAll(app_, "", [&](const CLI::App& app, const std::string& path) {
    const std::vector<std::string> words = Offered(path + " ''");
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      EXPECT_THAT(words, Contains(command->get_name())) << path;
      ++commands;
    }
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        EXPECT_THAT(words, Contains("--" + name)) << path;
        ++options;
      }
    }
  });
  EXPECT_GT(commands, 35);
  EXPECT_GT(options, 100);
}

TEST_F(CommandTableTest, BashKnowsWhereItIs) {
  EXPECT_THAT(Offered("war"), ::testing::ElementsAre("warm"));
  EXPECT_THAT(Offered("--target warm get --fo"), ::testing::ElementsAre("--force-refresh"))
      << "the value of an option is no command";
  EXPECT_THAT(Offered("warm list --co"),
              ::testing::UnorderedElementsAre("--coordinator", "--context", "--color"))
      << "options of what is above";
  EXPECT_THAT(Offered("replay --spread ''"), ::testing::ElementsAre("split", "each"));
  EXPECT_THAT(Offered("get --color n"), ::testing::ElementsAre("never"));
  EXPECT_THAT(Offered("perf --report ''"), IsEmpty()) << "files are bash's own";
  EXPECT_THAT(Offered("completion z"), ::testing::ElementsAre("zsh"));
}

TEST_F(CommandTableTest, ZshAndFishKnowThemToo) {
  const CommandEntry table = TableOf(app_);
  const std::string zsh = ZshCompletion(table);
  const std::string fish = FishCompletion(table);
  for (const CommandEntry* entry : AllCommands(table)) {
    if (entry->path.empty()) continue;
    EXPECT_TRUE(Has(zsh, absl::StrCat("(\"", entry->path, "\")")));
    EXPECT_TRUE(Has(fish, absl::StrCat(" -a ", entry->name, " -d ")));
    for (const OptionEntry& option : entry->options) {
      if (option.long_name.empty()) continue;
      EXPECT_TRUE(Has(zsh, absl::StrCat("'--", option.long_name, ":"))) << entry->path;
      EXPECT_TRUE(
          Has(fish, absl::StrCat("__meridianctl_at \"", entry->path, "\"' -l ", option.long_name)));
    }
  }
  EXPECT_EQ(zsh.substr(0, 20), "#compdef meridianctl");
  EXPECT_FALSE(Has(zsh, "local path"));
}

// Where the shells are installed, they read the scripts.
TEST_F(CommandTableTest, TheShellsFindNothingWrong) {
  const TempDir dir;
  const CommandEntry table = TableOf(app_);
  for (const auto& [shell, script] :
       std::vector<std::pair<std::string, std::string>>{{"bash", BashCompletion(table)},
                                                        {"zsh", ZshCompletion(table)},
                                                        {"fish", FishCompletion(table)}}) {
    if (RunCommand({"sh", "-c", "command -v " + shell}).exit_code != 0) continue;
    WriteFile(dir / shell, script);
    const CommandResult result = RunCommand({shell, "-n", dir / shell});
    EXPECT_EQ(result.exit_code, 0) << shell << ": " << result.err;
  }
}

TEST_F(CommandTableTest, EveryCommandHasHelpAndAnExample) {
  const CommandEntry table = TableOf(app_);
  for (const CommandEntry* entry : AllCommands(table)) {
    if (entry->path.empty()) continue;
    EXPECT_FALSE(entry->help.empty()) << entry->path;
    if (entry->commands.empty()) {
      EXPECT_THAT(entry->details, HasSubstr("Examples:\n")) << entry->path;
      EXPECT_THAT(entry->details, HasSubstr("meridianctl " + entry->Words())) << entry->path;
    }
    for (const OptionEntry& option : entry->options) {
      EXPECT_FALSE(option.help.empty()) << entry->path << " --" << option.long_name;
    }
  }
}

TEST_F(CommandTableTest, TheDocumentNamesEveryCommand) {
  const CommandEntry table = TableOf(app_);
  const std::string document = ReadFile(absl::StrCat(
      getenv("MERIDIAN_SOURCE_DIR") ? getenv("MERIDIAN_SOURCE_DIR") : ".", "/docs/cli.md"));
  ASSERT_FALSE(document.empty()) << "run this through ctest";
  for (const CommandEntry* entry : AllCommands(table)) {
    if (entry->path.empty() || !entry->commands.empty()) continue;
    EXPECT_TRUE(Has(document, "meridianctl " + entry->Words()));
  }
}

// As roff wants it.
std::string Escaped(const std::string& text) { return absl::StrReplaceAll(text, {{"-", "\\-"}}); }

TEST_F(CommandTableTest, TheManPageHasAllOfIt) {
  const CommandEntry table = TableOf(app_);
  const std::string page = ManPage(table, "1.2.3");
  for (const CommandEntry* entry : AllCommands(table)) {
    if (!entry->path.empty()) {
      EXPECT_TRUE(Has(page, absl::StrCat(".SS \"", Escaped(entry->Words()), "\"")));
    }
    for (const OptionEntry& option : entry->options) {
      EXPECT_TRUE(Has(page, "\\-\\-" + Escaped(option.long_name))) << entry->path;
    }
  }
  for (const char* part : {".SH EXIT STATUS", "MERIDIAN_TARGET", "meridianctl 1.2.3"}) {
    EXPECT_TRUE(Has(page, part));
  }
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (absl::StartsWith(line, "'")) ADD_FAILURE() << "a request: " << std::string(line);
  }
}

// Where man is installed, it reads the page and has nothing to say.
TEST_F(CommandTableTest, ManReadsThePage) {
  if (RunCommand({"sh", "-c", "command -v man && command -v groff"}).exit_code != 0) {
    GTEST_SKIP() << "there is no man";
  }
  const TempDir dir;
  WriteFile(dir / "meridianctl.1", ManPage(TableOf(app_), "1.2.3"));
  const CommandResult result = RunCommand({"env", "LC_ALL=C.UTF-8", "MANWIDTH=100", "man",
                                           "--warnings=all", "-l", dir / "meridianctl.1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.err, IsEmpty());
  for (const char* part : {"warm list", "--origin-delay", "EXIT STATUS"}) {
    EXPECT_TRUE(Has(result.out, part));
  }
}

}  // namespace
}  // namespace meridian::cli
