#include "client/cli/coordinator.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/text_input.h"
#include "common/base/utf8.h"

namespace meridian::cli {
namespace {

void NoteOneOfSeveral(const Session& session) {
  const GlobalOptions& options = session.options();
  if (!options.targets.empty() || !options.admin.empty() || !options.region.empty()) return;
  const auto file = session.Cluster();
  const auto targets = session.Targets();
  if (!file.ok() || !targets.ok() || file->regions.size() < 2) return;
  std::string asked, others;
  for (const ClusterRegion& region : file->regions) {
    const std::vector<std::string> addresses = region.DataAddresses();
    if (std::find(addresses.begin(), addresses.end(), targets->front()) != addresses.end()) {
      asked = region.name;
    } else {
      absl::StrAppend(&others, others.empty() ? "" : ", ", "--region ", region.name);
    }
  }
  if (!asked.empty()) session.Note(absl::StrCat("of region ", asked, " alone; also ", others));
}

// The first text that is not UTF-8, as "events[0].kind"; empty: all are.
std::string FieldWithoutText(const google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const google::protobuf::Reflection& fields = *message.GetReflection();
  std::vector<const FieldDescriptor*> set;
  fields.ListFields(message, &set);
  for (const FieldDescriptor* field : set) {
    const int count = field->is_repeated() ? fields.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      const std::string name =
          field->is_repeated() ? absl::StrCat(field->name(), "[", i, "]") : field->name();
      if (field->type() == FieldDescriptor::TYPE_STRING) {
        std::string scratch;
        const std::string& text =
            field->is_repeated() ? fields.GetRepeatedStringReference(message, field, i, &scratch)
                                 : fields.GetStringReference(message, field, &scratch);
        if (!IsUtf8(text)) return name;
      } else if (field->type() == FieldDescriptor::TYPE_MESSAGE) {
        const std::string inner =
            FieldWithoutText(field->is_repeated() ? fields.GetRepeatedMessage(message, field, i)
                                                  : fields.GetMessage(message, field));
        if (!inner.empty()) return absl::StrCat(name, ".", inner);
      }
    }
  }
  return "";
}

}  // namespace

bool CheckTexts(const google::protobuf::Message& request, ResultError* error) {
  const std::string field = FieldWithoutText(request);
  if (field.empty()) return true;
  error->code = absl::StatusCode::kInvalidArgument;
  error->reason = "FIELD_INVALID";
  error->field = field;
  error->message = absl::StrCat(field, ": is not UTF-8");
  return false;
}

std::vector<std::string> CoordinatorAddresses(const Session& session, const std::string& given,
                                              ResultError* error) {
  if (!given.empty()) return {given};
  NoteOneOfSeveral(session);
  const GlobalOptions& options = session.options();
  // Beside an admin address the file must be of the same cluster: one that was named.
  if (options.targets.empty() &&
      (options.admin.empty() || !options.cluster.empty() || !options.region.empty())) {
    if (const auto file = session.Cluster(); file.ok()) {
      for (const ClusterRegion& region : file->regions) {
        const bool wanted =
            options.region.empty() ? file->regions.size() == 1 : region.name == options.region;
        if (wanted && !region.coordinators.empty()) return region.coordinators;
      }
    }
  }
  for (const std::string& address : AdminAddresses(session, error)) {
    admin::v1::GetStatusResponse status;
    if (!CallNode<admin::v1::AdminService>(session, address,
                                           &admin::v1::AdminService::Stub::GetStatus,
                                           admin::v1::GetStatusRequest(), &status, error)) {
      continue;
    }
    if (!status.coordinator().empty()) return {status.coordinator()};
    error->code = absl::StatusCode::kNotFound;
    error->message = "the nodes follow no coordinator: give one with --coordinator HOST:PORT";
  }
  return {};
}

void AddCoordinatorOption(CLI::App& command, std::string& coordinator) {
  command
      .add_option("--coordinator", coordinator,
                  "HOST:PORT of a coordinator (default: of the cluster file, or the one that the "
                  "nodes follow)")
      ->check(EmptyProblem);
}

}  // namespace meridian::cli
