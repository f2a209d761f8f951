// Answers of /v1/… as JSON, for tests with real processes.

#ifndef MERIDIAN_TESTS_INTEGRATION_HTTP_JSON_H_
#define MERIDIAN_TESTS_INTEGRATION_HTTP_JSON_H_

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/http_page.h"

namespace meridian {

// nullptr: no answer, or none of 200.
inline nlohmann::json FetchJson(const std::string& address, const std::string& path) {
  const absl::StatusOr<HttpPage> page = HttpGet(address, path);
  if (!page.ok() || page->code != 200) return nullptr;
  return nlohmann::json::parse(page->body, nullptr, /*allow_exceptions=*/false);
}

// A list of the answer, by value: a loop over a part of a temporary would outlive it.
inline nlohmann::json FetchList(const std::string& address, const std::string& path,
                                const std::string& list) {
  const nlohmann::json answer = FetchJson(address, path);
  return answer.contains(list) ? answer[list] : nlohmann::json::array();
}

}  // namespace meridian

#endif  // MERIDIAN_TESTS_INTEGRATION_HTTP_JSON_H_
