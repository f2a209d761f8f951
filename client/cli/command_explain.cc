#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "client/cpp/check.h"
#include "common/base/utf8.h"
#include "common/engine/tag_list.h"
#include "common/rpc/proto_json.h"
#include "common/rpc/topology_proto.h"

namespace meridian::cli {
namespace {

struct ExplainArguments {
  std::string name_space;
  std::string key;
  bool as_cached = false;
};

// The tag of a dependency begins with a NUL, which no terminal wants.
void AppendTag(std::string* out, const std::string& tag) {
  if (tag == kDependenciesCutMark) return absl::StrAppend(out, "(cut)");
  if (tag == kDependenciesUnknownMark) return absl::StrAppend(out, "(unknown)");
  const bool depends = !tag.empty() && tag.front() == '\0';
  absl::StrAppend(out, depends ? "key#" : "", tag.substr(depends ? 1 : 0));
}

// "L1 us-1", "mirror us-2" or "L2".
std::string TierName(const admin::v1::TierState& tier) {
  const char* const name = tier.mirror()                         ? "mirror"
                           : tier.tier() == cache::v1::SOURCE_L1 ? "L1"
                           : tier.tier() == cache::v1::SOURCE_L2 ? "L2"
                                                                 : "?";
  return tier.node().empty() ? name : absl::StrCat(name, " ", tier.node());
}

std::string SizeText(const admin::v1::TierState& tier) {
  if (tier.raw_size() == 0 || tier.raw_size() == tier.size())
    return absl::StrCat(tier.size(), " B");
  return absl::StrCat(tier.size(), " B (", tier.raw_size(), " B inflated)");
}

std::string Readable(const admin::v1::ExplainKeyResponse& response) {
  std::string text =
      absl::StrCat("slot    ", response.slot(), "\nowner   ",
                   response.owner().empty()
                       ? "nobody"
                       : absl::StrCat(response.owner(), " (", response.owner_address(), ")"),
                   "\nepoch   ", response.epoch(), "\nregion  ", response.region());
  if (!response.cached_key().empty()) absl::StrAppend(&text, "\ncached  ", response.cached_key());
  if (response.bypassed()) {
    absl::StrAppend(&text, "\nbypass  yes: the policy has the key neither answered nor stored");
  }
  if (!response.l2_key().empty()) absl::StrAppend(&text, "\nL2 key  ", response.l2_key());
  TextTable table({"tier", "state", "version", "ttl", "size", "tags"});
  for (const admin::v1::TierState& tier : response.tiers()) {
    const bool holds = tier.has_version();
    table.Add({TierName(tier), tier.state(), holds ? FromProto(tier.version()).ToText() : "-",
               holds ? DurationText(absl::Milliseconds(tier.ttl_ms())) : "-",
               tier.state() == "value" ? SizeText(tier) : "-",
               tier.tags().empty() ? "-" : absl::StrJoin(tier.tags(), ",", AppendTag)});
  }
  absl::StrAppend(&text, "\n\n", table.ToText());
  for (const admin::v1::TierState& tier : response.tiers()) {
    if (!tier.has_error()) continue;
    absl::StrAppend(&text, "\n", TierName(tier), ": ", tier.error().reason(), ": ",
                    tier.error().message());
  }
  return text;
}

ExitCode RunExplain(const Session& session, const ExplainArguments& arguments) {
  if (const auto wrong = CheckNamespace(arguments.name_space)) return session.Fail(*wrong);
  admin::v1::ExplainKeyRequest request;
  request.mutable_key()->set_namespace_(arguments.name_space);
  if (IsUtf8(arguments.key)) {
    request.mutable_key()->set_key(arguments.key);
  } else {
    request.mutable_key()->set_key_bytes(arguments.key);
  }
  request.mutable_key()->set_as_cached(arguments.as_cached);
  admin::v1::ExplainKeyResponse response;
  ResultError error;
  if (!CallAnyAdmin(session, &admin::v1::AdminService::Stub::ExplainKey, request, &response,
                    &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(response));
  } else {
    session.Print(Readable(response));
  }
  return kExitOk;
}

}  // namespace

void AddExplain(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<ExplainArguments>();
  CLI::App* command =
      app.add_subcommand("explain", "Say where a key lives and what each tier holds of it");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command->add_option("key", arguments->key, "key, as clients have it")->required();
  command->add_flag("--as-cached", arguments->as_cached,
                    "the key is in its cached form, as one that was seen in Redis");
  command->footer(
      "Examples:\n"
      "  meridianctl explain task task:42\n"
      "  meridianctl explain task task:42 --region eu --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunExplain(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
