#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/admin.h"
#include "client/cli/commands.h"
#include "client/cli/duration_text.h"
#include "client/cli/session.h"
#include "client/cli/text_table.h"
#include "common/base/number_option.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

constexpr uint64_t kMostEntries = uint64_t{1} << 40;  // As max_entries of a policy.
constexpr uint64_t kMostBytes = uint64_t{1} << 50;

struct WhatIfArguments {
  std::string name_space;
  uint64_t max_entries = 0;
  uint64_t max_bytes = 0;
  std::string ttl;
  std::string policy;
};

// A bound as people read it.
std::string BoundText(uint64_t bound) { return bound == 0 ? "-" : absl::StrCat(bound); }
std::string LifeText(uint64_t ms) {
  return DurationText(absl::Milliseconds(static_cast<int64_t>(ms)));
}
std::string RateText(double rate) { return absl::StrFormat("%.1f %%", 100 * rate); }

std::string Readable(const admin::v1::WhatIfRequest& asked,
                     const admin::v1::WhatIfResponse& answer) {
  TextTable table({"", "entries", "bytes", "life in L1", "policy", "hit rate"});
  table.Add({"as it is", BoundText(answer.present_max_entries()),
             BoundText(answer.present_max_bytes()), LifeText(answer.present_ttl_ms()),
             answer.present_policy(), RateText(answer.hit_rate())});
  table.Add(
      {"as asked",
       BoundText(asked.max_entries() != 0 ? asked.max_entries() : answer.present_max_entries()),
       BoundText(asked.max_bytes() != 0 ? asked.max_bytes() : answer.present_max_bytes()),
       LifeText(asked.ttl_ms() != 0 ? asked.ttl_ms() : answer.present_ttl_ms()),
       asked.policy().empty() ? answer.present_policy() : asked.policy(),
       RateText(answer.predicted_hit_rate())});
  std::string text = absl::StrCat(
      table.ToText(), "\n\nof ", answer.requests(), " reads at node ", answer.node(), "; ",
      absl::StrFormat("%.3g %%", 100 * answer.sample_rate()), " of the keys were followed, for ",
      DurationText(absl::Milliseconds(static_cast<int64_t>(answer.span_ms()))));
  const double error = answer.replayed_hit_rate() - answer.hit_rate();
  if (error > 0.05 || error < -0.05) {
    absl::StrAppend(&text, "\nwarning: a replay of things as they are gives ",
                    RateText(answer.replayed_hit_rate()),
                    ": the traffic is not as the replay takes it, do not rely on the answer");
  }
  return text;
}

ExitCode RunWhatIf(const Session& session, const WhatIfArguments& arguments) {
  if (arguments.max_entries == 0 && arguments.max_bytes == 0 && arguments.ttl.empty() &&
      arguments.policy.empty()) {
    session.Note("error: what if what? --max-entries, --max-bytes, --ttl or --policy");
    return kExitUsage;
  }
  admin::v1::WhatIfRequest request;
  request.set_namespace_(arguments.name_space);
  request.set_max_entries(arguments.max_entries);
  request.set_max_bytes(arguments.max_bytes);
  if (!arguments.ttl.empty()) {  // The parser has checked it. Rounded up: 0 is "as it is".
    request.set_ttl_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(
        absl::Ceil(*ParseDuration(arguments.ttl), absl::Milliseconds(1)))));
  }
  request.set_policy(arguments.policy);
  admin::v1::WhatIfResponse answer;
  ResultError error;
  if (!CallAnyAdmin(session, &admin::v1::AdminService::Stub::WhatIf, request, &answer, &error)) {
    return session.Fail(error);
  }
  if (session.json()) {
    session.PrintJson(ToJson(answer));
  } else {
    session.Print(Readable(request, answer));
  }
  return kExitOk;
}

}  // namespace

void AddWhatIf(CLI::App& app, CommandContext context) {
  auto arguments = std::make_shared<WhatIfArguments>();
  CLI::App* command = app.add_subcommand(
      "what-if", "Predict the hit rate of L1 with another size, life or eviction policy");
  command->add_option("namespace", arguments->name_space, "data type")->required();
  command
      ->add_option("--max-entries", arguments->max_entries,
                   "entries of the namespace in L1 of a node")
      ->check(WholeNumber(1, kMostEntries));
  command
      ->add_option("--max-bytes", arguments->max_bytes,
                   "memory of it, such as 64MiB, overhead included")
      ->transform(CLI::Validator(ByteSize(1, kMostBytes), ""));
  command->add_option("--ttl", arguments->ttl, "life in L1, such as 45s")
      ->check(PositiveDurationProblem);
  command->add_option("--policy", arguments->policy, "eviction policy");
  command->footer(
      "A node remembers its last requests for a sample of the keys and replays them as asked; "
      "what\n"
      "is not asked stays as it is. Ask one node with --admin: each has its own keys.\n\n"
      "Examples:\n"
      "  meridianctl what-if persona --max-entries 1500 --ttl 45s\n"
      "  meridianctl what-if persona --max-bytes 64MiB\n"
      "  meridianctl what-if persona --policy lru --json");
  command->callback([arguments, context] {
    context.action = [arguments, context] { return RunWhatIf(context.session, *arguments); };
  });
}

}  // namespace meridian::cli
