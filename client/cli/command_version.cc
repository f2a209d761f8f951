#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/session.h"

namespace meridian::cli {

void AddVersion(CLI::App& app, CommandContext context) {
  CLI::App* command = app.add_subcommand("version", "Print the release");
  command->footer("Examples:\n  meridianctl version");
  command->callback([context] {
    context.session.WorkOffline();
    context.action = [context] {
      const std::string grpc_version = grpc::Version();
      const std::string protobuf_version =
          google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION);
      if (context.session.json()) {
        context.session.PrintJson({{"version", MERIDIAN_VERSION},
                                   {"grpc", grpc_version},
                                   {"protobuf", protobuf_version}});
        return kExitOk;
      }
      context.session.Print(absl::StrCat("meridianctl ", MERIDIAN_VERSION, " (gRPC ", grpc_version,
                                         ", protobuf ", protobuf_version, ")"));
      return kExitOk;
    };
  });
}

}  // namespace meridian::cli
