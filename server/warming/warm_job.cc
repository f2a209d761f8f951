#include "server/warming/warm_job.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/node/limits.h"
#include "server/policy/text.h"

namespace meridian {
namespace {

using Json = nlohmann::json;

constexpr size_t kLongestError = 200;

constexpr WarmJobState kStates[] = {WarmJobState::kQueued, WarmJobState::kRunning,
                                    WarmJobState::kPaused, WarmJobState::kDone,
                                    WarmJobState::kFailed, WarmJobState::kCancelled};

// The library throws on wrong types; these do not.
std::string TextOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_string() ? it->get<std::string>() : "";
}
bool FlagOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_boolean() && it->get<bool>();
}
uint64_t NumberOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}
int64_t SignedOf(const Json& json, const char* name) {
  const auto it = json.find(name);
  return it != json.end() && it->is_number_integer() ? it->get<int64_t>() : 0;
}
std::optional<absl::Time> TimeOf(const Json& json, const char* name) {
  if (!json.contains(name)) return std::nullopt;
  return absl::FromUnixMillis(SignedOf(json, name));
}

}  // namespace

absl::Status CheckWarmNamespace(std::string_view name_space) {
  if (const absl::Status status = CheckName(name_space); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("NAMESPACE_INVALID: ", status.message()));
  }
  if (!IsInternalNamespace(name_space)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "NAMESPACE_RESERVED: the namespace ", ToAbsl(name_space), " is the nodes' own and not warmed"));
}

std::string_view WarmJobStateName(WarmJobState state) {
  switch (state) {
    case WarmJobState::kQueued:
      return "queued";
    case WarmJobState::kRunning:
      return "running";
    case WarmJobState::kPaused:
      return "paused";
    case WarmJobState::kDone:
      return "done";
    case WarmJobState::kFailed:
      return "failed";
    case WarmJobState::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

std::string ForPeople(std::string error) {
  if (error.size() > kLongestError) error.resize(kLongestError);
  for (char& c : error) {
    if (c < ' ' || c > '~') c = '?';
  }
  return error;
}

Json ToJson(const WarmJob& job) {
  Json json = {{"id", job.id},
               {"source", job.source},
               {"namespace", job.name_space},
               {"identity", job.identity},
               {"state", WarmJobStateName(job.state)},
               {"priority", job.priority},
               {"refresh", job.refresh},
               {"total", job.total_keys},
               {"next", job.next_key},
               {"warmed", job.warmed_keys},
               {"absent", job.absent_keys},
               {"failed", job.failed_keys},
               {"unkept", job.unkept_keys},
               {"text_bytes", job.text_bytes},
               {"error", job.error},
               {"created_ms", absl::ToUnixMillis(job.create_time)},
               {"deadline_ms", absl::ToUnixMillis(job.deadline)}};
  if (!job.name.empty()) json["name"] = job.name;
  if (job.has_fixed_budget) json["fixed_budget"] = true;
  if (job.start_time) json["started_ms"] = absl::ToUnixMillis(*job.start_time);
  if (job.end_time) json["ended_ms"] = absl::ToUnixMillis(*job.end_time);
  return json;
}

std::optional<WarmJob> WarmJobFromJson(const Json& json) {
  if (!json.is_object()) return std::nullopt;
  WarmJob job;
  job.id = TextOf(json, "id");
  job.source = TextOf(json, "source");
  job.name_space = TextOf(json, "namespace");
  job.identity = TextOf(json, "identity");
  const std::string state = TextOf(json, "state");
  bool known = false;
  for (const WarmJobState candidate : kStates) {
    if (state != WarmJobStateName(candidate)) continue;
    job.state = candidate;
    known = true;
  }
  if (job.id.empty() || job.name_space.empty() || !known) return std::nullopt;
  job.priority = static_cast<int32_t>(SignedOf(json, "priority"));
  job.refresh = FlagOf(json, "refresh");
  job.has_fixed_budget = FlagOf(json, "fixed_budget");
  job.total_keys = NumberOf(json, "total");
  job.next_key = NumberOf(json, "next");
  if (job.next_key > job.total_keys) return std::nullopt;
  job.warmed_keys = NumberOf(json, "warmed");
  job.absent_keys = NumberOf(json, "absent");
  job.failed_keys = NumberOf(json, "failed");
  job.unkept_keys = NumberOf(json, "unkept");
  job.text_bytes = NumberOf(json, "text_bytes");
  job.error = TextOf(json, "error");
  job.name = TextOf(json, "name");
  job.create_time = absl::FromUnixMillis(SignedOf(json, "created_ms"));
  job.deadline = absl::FromUnixMillis(SignedOf(json, "deadline_ms"));
  job.start_time = TimeOf(json, "started_ms");
  job.end_time = TimeOf(json, "ended_ms");
  return job;
}

absl::StatusOr<KeyList> WarmText::ToKeyList() const {
  return is_literal ? KeyList::OfKeys(keys) : KeyList::Parse(keys, parts);
}

size_t WarmText::bytes() const {
  size_t bytes = 0;
  for (const std::string& key : keys) bytes += key.size();
  for (const auto& [name, values] : parts) bytes += name.size() + values.size();
  return bytes;
}

// Keys may hold any bytes, JSON only UTF-8: so base64. Literal ones have a name of their own, so
// that a program that does not know it reads no keys rather than others.
std::string WarmText::ToJsonText() const {
  const char* const list = is_literal ? "literals_base64" : "keys_base64";
  Json json = {{list, Json::array()}, {"parts_base64", Json::object()}};
  for (const std::string& key : keys) json[list].push_back(absl::Base64Escape(key));
  for (const auto& [name, values] : parts) {
    json["parts_base64"][absl::Base64Escape(name)] = absl::Base64Escape(values);
  }
  return json.dump();
}

std::optional<WarmText> WarmText::FromJsonText(std::string_view text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  WarmText result;
  result.is_literal = json.contains("literals_base64");
  const char* const list = result.is_literal ? "literals_base64" : "keys_base64";
  if (!json.contains(list) || !json[list].is_array()) return std::nullopt;
  for (const Json& key : json[list]) {
    std::string bytes;
    if (!key.is_string() || !absl::Base64Unescape(key.get<std::string>(), &bytes)) {
      return std::nullopt;
    }
    result.keys.push_back(std::move(bytes));
  }
  if (json.contains("parts_base64") && json["parts_base64"].is_object()) {
    for (const auto& [name, values] : json["parts_base64"].items()) {
      std::string plain_name;
      std::string plain_values;
      if (!values.is_string() || !absl::Base64Unescape(name, &plain_name) ||
          !absl::Base64Unescape(values.get<std::string>(), &plain_values)) {
        return std::nullopt;
      }
      result.parts[plain_name] = plain_values;
    }
  }
  return result;
}

}  // namespace meridian
