#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/results.h"
#include "client/cli/session.h"
#include "client/cli/text_input.h"
#include "client/cpp/check.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

struct InvalidateArguments {
  std::string name_space;
  std::vector<std::string> keys;
  std::string tag;
  std::string prefix;
  bool all = false;
  bool cascade = false;
  bool yes = false;
};

// By tag, prefix or namespace: one call, one fence.
ExitCode RunFence(const Session& session, const InvalidateArguments& arguments) {
  if (const auto wrong = CheckNamespace(arguments.name_space)) return session.Fail(*wrong);
  if (const auto wrong = CheckTag(arguments.tag, "tag")) return session.Fail(*wrong);
  cache::v1::InvalidateRequest request;
  request.set_namespace_(arguments.name_space);
  if (!arguments.tag.empty()) request.set_tag(arguments.tag);
  if (!arguments.prefix.empty()) request.set_prefix(arguments.prefix);
  if (arguments.all) request.set_all(true);
  const auto targets = session.Targets();
  if (!targets.ok()) return session.Fail(targets.status());
  cache::v1::InvalidateResponse response;
  ResultError error;
  if (!CallNode<cache::v1::CacheService>(session, targets->front(),
                                         &cache::v1::CacheService::Stub::Invalidate, request,
                                         &response, &error)) {
    return session.Fail(error);
  }
  if (session.json()) session.PrintJson(ToJson(response));
  if (response.result().status() == cache::v1::ENTRY_STATUS_ERROR) {
    const cache::v1::EntryError& failed = response.result().error();
    error.code = static_cast<absl::StatusCode>(failed.code());
    error.reason = failed.reason();
    error.message = failed.message();
    return session.Fail(error);
  }
  if (response.unconfirmed_nodes_size() > 0) {
    session.Note(
        absl::StrCat("not yet confirmed by: ", absl::StrJoin(response.unconfirmed_nodes(), ", ")));
    return kExitFailed;
  }
  return kExitOk;
}

// Each key, and what depends on it.
ExitCode RunCascade(const Session& session, const std::string& name_space,
                    const std::vector<std::string>& keys) {
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  ExitCode worst = kExitOk;
  for (const std::string& key : keys) {
    const WriteResult result = (*client)->InvalidateCascade(name_space, key, session.Call());
    const ExitCode code = PrintWrite(session, key, result);
    if (code != kExitOk) worst = code;
    if (!result.unconfirmed_nodes.empty()) {
      session.Note(
          absl::StrCat("not yet confirmed by: ", absl::StrJoin(result.unconfirmed_nodes, ", ")));
      worst = kExitFailed;
    }
  }
  return worst;
}

// A number, or something as long as a UUID or a hash that has a digit. "v2" and "s3" are kinds.
bool IsId(absl::string_view segment) {
  constexpr size_t kLeastOfAHash = 8;
  const auto digits = std::count_if(segment.begin(), segment.end(), absl::ascii_isdigit);
  return digits > 0 &&
         (static_cast<size_t>(digits) == segment.size() || segment.size() >= kLeastOfAHash);
}

// Without an id after its first part ("auth:", "auth:user:", "oauth2:v2:") it names a kind of keys,
// where keys begin with their type a whole namespace. A tag, and a prefix with an id in it, are what
// applications invalidate all day. Nodes refuse one that does not end with a colon.
bool IsWide(const std::string& prefix) {
  if (!absl::EndsWith(prefix, ":")) return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(prefix, ':');
  return std::none_of(parts.begin() + 1, parts.end(), IsId);
}

ExitCode RunInvalidate(const Session& session, const InvalidateArguments& arguments) {
  const int forms =
      !arguments.keys.empty() + !arguments.tag.empty() + !arguments.prefix.empty() + arguments.all;
  if (forms != 1) {
    session.Note("error: name what dies, in one way: KEY..., --tag T, --prefix P or --all");
    return kExitUsage;
  }
  if (arguments.cascade && !arguments.prefix.empty()) {
    session.Note("error: --cascade is of keys: what depends on those of a prefix is not known");
    return kExitUsage;
  }
  if (arguments.all && !session.Confirm(absl::StrCat("this deletes every entry of ",
                                                     arguments.name_space, ", in all regions"),
                                        arguments.yes)) {
    return kExitUsage;
  }
  if (IsWide(arguments.prefix) &&
      !session.Confirm(absl::StrCat("this deletes every entry of ", arguments.name_space,
                                    " that begins with ", arguments.prefix, ", in all regions"),
                       arguments.yes)) {
    return kExitUsage;
  }
  if (arguments.keys.empty()) return RunFence(session, arguments);
  const auto keys = ReadList(arguments.keys);
  if (!keys.ok()) return session.Fail(keys.status());
  const auto client = session.Connect();
  if (!client.ok()) return session.Fail(client.status());
  if (arguments.cascade) return RunCascade(session, arguments.name_space, *keys);
  if (keys->size() == 1) {
    return PrintWrite(session, keys->front(),
                      (*client)->Invalidate(arguments.name_space, keys->front(), session.Call()));
  }
  const std::vector<std::string_view> views(keys->begin(), keys->end());
  return PrintWrites(session, *keys,
                     (*client)->BatchInvalidate(arguments.name_space, views, session.Call()));
}

}  // namespace

void AddInvalidate(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<InvalidateArguments>();
  CLI::App* command = app.add_subcommand("invalidate", "Delete by key, tag, prefix or namespace");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->keys, "keys; @FILE or -: one a line");
  command->add_option("--tag", arguments->tag, "every entry with this tag")->check(EmptyProblem);
  command
      ->add_option("--prefix", arguments->prefix,
                   "every key that begins so; ends with a colon; without a number in it (task:, "
                   "auth:user:) it asks first")
      ->check(EmptyProblem);
  command->add_flag("--all", arguments->all, "the whole namespace; asks first");
  command->add_flag("-y,--yes", arguments->yes, "do not ask: it is meant");
  command->add_flag("--cascade", arguments->cascade,
                    "of keys: and every entry that depends on them");
  command->footer(
      "Prints nothing, with -v the version of each deletion. A key that does not exist is no "
      "error.\n"
      "--cascade, --tag, --prefix and --all cost the same however many entries they kill, and are "
      "effective in "
      "the whole region when the command returns; entries that are written later live. Nodes that "
      "did not confirm in time are named, with exit code 1.\n\n"
      "Examples:\n"
      "  meridianctl invalidate task task:42 task:43\n"
      "  meridianctl invalidate task @keys.txt\n"
      "  meridianctl invalidate auth --prefix auth:user:123:\n"
      "  meridianctl invalidate auth --prefix auth:user: --yes\n"
      "  meridianctl invalidate task --tag project:7\n"
      "  meridianctl invalidate context context:7 --cascade\n"
      "  meridianctl invalidate recommend --all --yes");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunInvalidate(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
