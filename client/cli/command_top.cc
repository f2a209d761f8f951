#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "client/cli/admin.h"
#include "client/cli/ask_nodes.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/signal_watch.h"
#include "client/cli/top_screen.h"
#include "common/base/number_option.h"

namespace meridian::cli {
namespace {

using admin::v1::AdminService;
using admin::v1::GetFiguresResponse;

struct TopArguments {
  std::string interval = "2s";
  uint32_t keys = 10;
  bool once = false;
};

// Looks again and again at the same nodes.
class TopLooker {
 public:
  TopLooker(const Session& session, std::vector<std::string> addresses, uint32_t keys)
      : session_(session), addresses_(std::move(addresses)), keys_(keys) {}

  TopView Look() {
    TopView view;
    view.at = absl::Now();
    std::map<std::string, std::pair<std::string, std::string>> names;  // Region, node by address.
    for (auto& answer :
         AskNodes<GetFiguresResponse>(session_, addresses_, &AdminService::Stub::GetFigures,
                                      admin::v1::GetFiguresRequest())) {
      const auto earlier = earlier_.find(answer.address);
      if (!answer.answered) {
        TopRow row;
        if (earlier != earlier_.end()) row.region = earlier->second.region();
        row.node = earlier != earlier_.end() ? earlier->second.node() : answer.address;
        row.problem = answer.error.message;
        view.hot_keys_unknown.push_back(row.node);
        view.nodes.push_back(std::move(row));
        continue;
      }
      view.nodes.push_back(
          RowOf(earlier == earlier_.end() ? nullptr : &earlier->second, answer.response));
      names[answer.address] = {answer.response.region(), answer.response.node()};
      earlier_[answer.address] = std::move(answer.response);
    }
    view.wants_hot_keys = keys_ > 0;
    if (keys_ > 0) AddHotKeys(names, &view);
    return view;
  }

 private:
  void AddHotKeys(const std::map<std::string, std::pair<std::string, std::string>>& names,
                  TopView* view) {
    admin::v1::ListHotKeysRequest request;
    request.set_limit(keys_);
    std::vector<std::string> addresses;
    for (const auto& [address, name] : names) addresses.push_back(address);
    for (const auto& answer : AskNodes<admin::v1::ListHotKeysResponse>(
             session_, addresses, &AdminService::Stub::ListHotKeys, request)) {
      const auto& [region, node] = names.at(answer.address);
      if (!answer.answered) {
        view->hot_keys_unknown.push_back(node);
        continue;
      }
      for (const admin::v1::HotKey& key : answer.response.keys()) {
        view->hot_keys.push_back({region, node, key.namespace_(), key.key(), key.rate()});
      }
    }
    std::stable_sort(view->hot_keys.begin(), view->hot_keys.end(),
                     [](const TopHotKey& a, const TopHotKey& b) { return a.rate > b.rate; });
    if (view->hot_keys.size() > keys_) view->hot_keys.resize(keys_);
  }

  const Session& session_;
  const std::vector<std::string> addresses_;
  const uint32_t keys_;
  std::map<std::string, GetFiguresResponse> earlier_;  // By address.
};

// Not to the end when a signal comes.
void Wait(absl::Duration time) {
  const absl::Time end = absl::Now() + time;
  while (SignalWatch::received() == 0 && absl::Now() < end) {
    absl::SleepFor(std::min(absl::Milliseconds(50), end - absl::Now()));
  }
}

// The terminal as it was is under this one, and comes back.
class Screen {
 public:
  Screen() { Put("\033[?1049h\033[?25l"); }
  ~Screen() { Put("\033[?25h\033[?1049l"); }

  void Show(const std::string& text) {
    winsize size = {};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    Put(InPlace(text, size.ws_row, size.ws_col));
  }

 private:
  static void Put(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
};

ExitCode RunTop(const Session& session, const TopArguments& arguments) {
  ResultError error;
  const std::vector<std::string> addresses = AllAdminAddresses(session, &error);
  if (addresses.empty()) return session.Fail(error);
  const absl::Duration interval = *ParseDuration(arguments.interval);
  TopLooker looker(session, addresses, arguments.keys);
  const SignalWatch watch;
  TopView view = looker.Look();
  if (std::none_of(view.nodes.begin(), view.nodes.end(),
                   [](const TopRow& row) { return row.problem.empty(); })) {
    session.Note("error: no node answers: " + view.nodes.front().problem);
    return kExitUnavailable;
  }
  if (arguments.once || session.json() || isatty(STDOUT_FILENO) == 0) {
    Wait(interval);
    view = looker.Look();
    if (session.json()) {
      session.PrintJson(TopJson(view));
    } else {
      session.Print(TopText(view, session.OutStyle()));
    }
    return kExitOk;
  }
  Screen screen;
  while (SignalWatch::received() == 0) {
    screen.Show(TopText(view, session.OutStyle()) + "\n\nctrl-C ends");
    Wait(interval);
    if (SignalWatch::received() == 0) view = looker.Look();
  }
  return kExitOk;
}

}  // namespace

void AddTop(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<TopArguments>();
  CLI::App* command =
      app.add_subcommand("top", "Watch requests, hit rates, times, memory, hot keys");
  command->add_option("--interval", arguments->interval, "between two looks")
      ->check(PositiveDurationProblem)
      ->capture_default_str();
  command->add_option("--keys", arguments->keys, "hot keys to show")
      ->check(WholeNumber(0, 100))
      ->capture_default_str();
  command->add_flag("--once", arguments->once, "look twice, print and end");
  command->footer(
      "Refreshes in place on a terminal; elsewhere, and with --json, as --once. Rates and "
      "percentiles are of the\ntime since the look before; a call is a Get or a batch, a read is "
      "of one key. failed/s are calls, errors/s keys\nwhose read failed, also in a batch that did "
      "not. What near caches of clients answer is not counted.\n\n"
      "Examples:\n"
      "  meridianctl top\n"
      "  meridianctl top --region eu --interval 5s\n"
      "  meridianctl top --once --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunTop(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
