#include "server/origin/load_results.h"

#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/strings.h"
#include "server/node/limits.h"

namespace meridian {
namespace {

void Fail(const char* reason, std::string message, OriginAnswer* answer) {
  answer->outcome = LoadOutcome::kError;
  answer->error = std::make_shared<const Error>(
      Error{grpc::StatusCode::INTERNAL, reason, std::move(message), {}});
}

// What is wrong with a found value; nullopt: nothing.
std::optional<std::string> ProblemOf(const origin::v1::LoadResult& result) {
  if (result.value().size() > limits::kMaxValueBytes) {
    return absl::StrCat("a value of ", result.value().size(), " bytes; at most ",
                        limits::kMaxValueBytes, " are allowed");
  }
  if (result.ttl_ms() > limits::kMaxTtlMs) {
    return absl::StrCat("a TTL of ", result.ttl_ms(), " ms; at most ", limits::kMaxTtlMs,
                        " are allowed");
  }
  if (result.tags_size() > limits::kMaxTags) {
    return absl::StrCat(result.tags_size(), " tags; at most ", limits::kMaxTags, " are allowed");
  }
  for (const std::string& tag : result.tags()) {
    if (tag.empty() || tag.size() > limits::kMaxTagBytes) {
      return absl::StrCat("a tag of ", tag.size(), " bytes; 1 to ", limits::kMaxTagBytes,
                          " are allowed");
    }
  }
  if (result.depends_on_size() > limits::kMaxDependencies) {
    return absl::StrCat(result.depends_on_size(), " dependencies; at most ",
                        limits::kMaxDependencies, " are allowed");
  }
  for (const std::string& dependency : result.depends_on()) {
    if (const auto bad = limits::CheckDependency(dependency, "")) {
      return absl::StrCat("a dependency that is none: ", bad->message);
    }
  }
  if (!std::isfinite(result.cost()) || result.cost() < 0) return "a cost that is no cost";
  return std::nullopt;
}

void TakeResult(origin::v1::LoadResult* result, OriginAnswer* answer) {
  switch (result->status()) {
    case origin::v1::LOAD_STATUS_FOUND:
      break;
    case origin::v1::LOAD_STATUS_ABSENT:
      answer->outcome = LoadOutcome::kAbsent;
      return;
    default:
      Fail(
          reason::kOriginError,
          absl::StrCat("the origin could not load the key: ",
                       result->error().empty() ? "it does not say why" : QuoteKey(result->error())),
          answer);
      return;
  }
  if (const std::optional<std::string> problem = ProblemOf(*result)) {
    Fail(reason::kOriginInvalid, absl::StrCat("the origin gave ", *problem), answer);
    return;
  }
  answer->outcome = LoadOutcome::kFound;
  answer->value = std::move(*result->mutable_value());
  answer->ttl = absl::Milliseconds(static_cast<int64_t>(result->ttl_ms()));
  answer->tags.assign(result->tags().begin(), result->tags().end());
  answer->depends_on.assign(result->depends_on().begin(), result->depends_on().end());
  answer->cost = result->cost();
}

}  // namespace

LoadResults TakeLoadResults(const std::vector<std::string>& keys,
                            origin::v1::BatchLoadResponse* response) {
  LoadResults results;
  results.answers.resize(keys.size());
  struct Asked {
    size_t index;
    size_t results = 0;
  };
  std::map<std::string_view, Asked> asked;
  for (size_t i = 0; i < keys.size(); ++i) asked.emplace(keys[i], Asked{i});
  for (origin::v1::LoadResult& result : *response->mutable_results()) {
    const auto it = asked.find(std::string_view(result.key()));
    if (it == asked.end() || it->second.results++ > 0) {
      ++results.ignored;
    } else {
      TakeResult(&result, &results.answers[it->second.index]);
    }
  }
  for (const auto& [key, of] : asked) {
    if (of.results == 1) continue;
    results.answers[of.index] = OriginAnswer();
    // Which of several is right nobody knows.
    Fail(reason::kOriginInvalid,
         absl::StrCat("the origin's answer has ",
                      of.results == 0 ? "no result" : absl::StrCat(of.results, " results"),
                      " for the key"),
         &results.answers[of.index]);
  }
  return results;
}

}  // namespace meridian
