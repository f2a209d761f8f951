#include "client/cli/results.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/cli/duration_text.h"
#include "common/base/strings.h"
#include "common/rpc/proto_json.h"

namespace meridian::cli {
namespace {

using nlohmann::ordered_json;

ordered_json Header(std::string_view key, ResultStatus status) {
  ordered_json json = ordered_json::object();
  PutBytes("key", key, &json);
  if (json.contains("key")) json.erase("key_base64");
  json["status"] = StatusName(status);
  return json;
}

void PutError(const ResultError& error, ordered_json* json) {
  ordered_json& object = (*json)["error"] = ordered_json::object();
  object["code"] = static_cast<int>(error.code);
  object["reason"] = error.reason;
  object["message"] = error.message;
  if (!error.field.empty()) object["field"] = error.field;
  if (error.retry_after > absl::ZeroDuration()) {
    object["retry_after_ms"] = absl::ToInt64Milliseconds(error.retry_after);
  }
}

}  // namespace

std::string_view StatusName(ResultStatus status) {
  constexpr std::string_view kNames[] = {"OK", "MISS", "CONFLICT", "ERROR", "BYPASSED"};
  return kNames[static_cast<size_t>(status)];
}

std::string_view SourceName(ResultSource source) {
  constexpr std::string_view kNames[] = {"", "L1", "L2", "ORIGIN", "NEAR"};
  return kNames[static_cast<size_t>(source)];
}

ordered_json ToJson(std::string_view key, const GetResult& result) {
  ordered_json json = Header(key, result.status);
  if (result.hit()) {
    PutBytes("value", result.value, &json);
    json["source"] = SourceName(result.source);
    json["version"] = result.version.ToText();
    json["ttl_ms"] = absl::ToInt64Milliseconds(result.ttl);
    json["age_ms"] = absl::ToInt64Milliseconds(result.age);
    json["stale"] = result.stale;
  }
  if (result.error != nullptr) PutError(*result.error, &json);
  return json;
}

ordered_json ToJson(std::string_view key, const WriteResult& result) {
  ordered_json json = Header(key, result.status);
  if (result.version.is_set()) json["version"] = result.version.ToText();
  if (result.ok()) json["degraded"] = result.degraded;
  if (result.dependencies_cut) json["dependencies_cut"] = true;
  if (result.dependencies_unknown) json["dependencies_unknown"] = true;
  if (!result.replicated_regions.empty()) json["replicated_regions"] = result.replicated_regions;
  if (result.error != nullptr) PutError(*result.error, &json);
  return json;
}

ExitCode PrintWrite(const Session& session, std::string_view key, const WriteResult& result) {
  if (session.json()) session.PrintJson(ToJson(key, result));
  switch (result.status) {
    case ResultStatus::kOk:
      if (session.verbose() && !session.json()) session.Print(result.version.ToText());
      if (result.degraded) {
        session.Note("only in memory: the regional Redis is away, it gets the write later");
      }
      if (result.dependencies_cut) {
        session.Note("it depends on more than an entry can know, or than could be read");
      }
      if (result.dependencies_unknown) {
        session.Note(
            "a key that it depends on is not in the cache: what that was made of is not known");
      }
      return kExitOk;
    case ResultStatus::kMiss:
      session.Note(absl::StrCat("there is no ", QuoteKey(key)));
      return kExitMiss;
    case ResultStatus::kConflict:
      session.Note(absl::StrCat("conflict: nothing was changed; stored is version ",
                                result.version.is_set() ? result.version.ToText() : "none"));
      return kExitFailed;
    case ResultStatus::kBypassed:
      session.Note(
          absl::StrCat("not stored: by its policy the namespace does not cache ", QuoteKey(key)));
      return kExitOk;
    case ResultStatus::kError:
      return session.Fail(*result.error);
  }
  return kExitFailed;
}

ExitCode PrintWrites(const Session& session, const std::vector<std::string>& keys,
                     const std::vector<WriteResult>& results) {
  ordered_json list = ordered_json::array();
  ExitCode exit_code = kExitOk;
  for (size_t i = 0; i < results.size(); ++i) {
    const WriteResult& result = results[i];
    if (session.json()) list.push_back(ToJson(keys[i], result));
    if (result.ok()) {
      if (session.verbose() && !session.json()) {
        session.Print(absl::StrCat(keys[i], "\t", result.version.ToText()));
      }
      continue;
    }
    session.Note(QuoteKey(keys[i]) + ":");
    const ExitCode code = result.error != nullptr ? session.Fail(*result.error) : kExitFailed;
    if (result.error == nullptr) session.Note(StatusName(result.status));
    exit_code = std::max(exit_code, code);
  }
  if (session.json()) session.PrintJson(list);
  return exit_code;
}

std::string Describe(const GetResult& result) {
  return absl::StrCat("source ", ToAbsl(SourceName(result.source)), ", version ",
                      result.version.ToText(), ", ttl ", DurationText(result.ttl), ", age ",
                      DurationText(result.age), result.stale ? ", stale" : "");
}

}  // namespace meridian::cli
