#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/session.h"

namespace meridian::cli {

void AddVersion(CLI::App& app, CommandContext context) {
  CLI::App* command = app.add_subcommand("version", "Print the release");
  command->callback([context] {
    context.action = [context] {
      context.session.Print(
          absl::StrCat("meridianctl ", MERIDIAN_VERSION, " (gRPC ", grpc::Version(), ", protobuf ",
                       google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION), ")"));
      return kExitOk;
    };
  });
}

}  // namespace meridian::cli
