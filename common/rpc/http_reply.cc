#include "common/rpc/http_reply.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/strings.h"
#include "common/base/utf8.h"

namespace meridian {
namespace {

constexpr char kQueryInvalid[] = "QUERY_INVALID";

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// nullopt: a % without two digits, or bytes that are no text.
std::optional<std::string> Decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i] == '+' ? ' ' : text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (high < 0 || low < 0) return std::nullopt;
    decoded += static_cast<char>(high * 16 + low);
    i += 2;
  }
  if (!IsUtf8(decoded)) return std::nullopt;
  return decoded;
}

}  // namespace

HttpReply JsonReply(const nlohmann::ordered_json& body) {
  // What is not UTF-8 in spite of all becomes a replacement character rather than an exception.
  return {
      .content_type = kJsonContent,
      .body = body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"};
}

HttpReply JsonError(int code, std::string_view reason, std::string_view message) {
  nlohmann::ordered_json body;
  body["error"] = {
      {"code", code}, {"reason", std::string(reason)}, {"message", std::string(message)}};
  HttpReply reply = JsonReply(body);
  reply.code = code;
  return reply;
}

const std::string& HttpQuery::Get(const std::string& name) const {
  static const auto& empty = *new std::string();
  const auto it = values.find(name);
  return it == values.end() ? empty : it->second;
}

HttpQuery ParseHttpQuery(std::string_view query, const std::vector<std::string>& known) {
  HttpQuery result;
  const auto fail = [&result](std::string_view message) {
    result.error = JsonError(400, kQueryInvalid, message);
    return result;
  };
  for (const absl::string_view part : absl::StrSplit(ToAbsl(query), '&', absl::SkipEmpty())) {
    const size_t equals = part.find('=');
    const std::optional<std::string> name = Decode(ToStd(part.substr(0, equals)));
    const std::optional<std::string> value =
        equals == absl::string_view::npos ? "" : Decode(ToStd(part.substr(equals + 1)));
    if (!name || !value) {
      return fail(absl::StrCat(QuoteKey(ToStd(part)), " cannot be decoded"));
    }
    if (std::find(known.begin(), known.end(), *name) == known.end()) {
      return fail(absl::StrCat("no parameter ", QuoteKey(*name), " here",
                               known.empty()
                                   ? "; there are none"
                                   : absl::StrCat("; there are: ", absl::StrJoin(known, ", "))));
    }
    if (!result.values.emplace(*name, *value).second) {
      return fail(absl::StrCat(QuoteKey(*name), " is there twice"));
    }
  }
  return result;
}

}  // namespace meridian
