#include "common/rpc/http_reply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace meridian {
namespace {

using testing::HasSubstr;

// What a query that knows "namespace" and "limit" is refused with; "": it is not.
std::string Refusal(std::string_view query) {
  const HttpQuery parsed = ParseHttpQuery(query, {"namespace", "limit"});
  if (!parsed.error.has_value()) return "";
  EXPECT_EQ(parsed.error->code, 400) << query;
  EXPECT_EQ(parsed.error->content_type, "application/json");
  const auto json = nlohmann::json::parse(parsed.error->body);
  EXPECT_EQ(json["error"]["reason"], "QUERY_INVALID");
  return json["error"]["message"];
}

TEST(HttpQueryTest, NamesAndValuesAreDecoded) {
  const HttpQuery query = ParseHttpQuery("namespace=a%20b+c%2b&limit=5", {"namespace", "limit"});
  ASSERT_FALSE(query.error.has_value());
  EXPECT_EQ(query.Get("namespace"), "a b c+");
  EXPECT_EQ(query.Get("limit"), "5");
  EXPECT_EQ(query.Get("other"), "");
}

TEST(HttpQueryTest, EmptyPartsAndValuesAreNothing) {
  EXPECT_EQ(Refusal(""), "");
  EXPECT_EQ(Refusal("&&"), "");
  EXPECT_EQ(Refusal("&limit=&"), "");
  EXPECT_EQ(ParseHttpQuery("limit", {"limit"}).Get("limit"), "");
  EXPECT_EQ(ParseHttpQuery("limit=a=b", {"limit"}).Get("limit"), "a=b");
}

TEST(HttpQueryTest, WhatIsUnknownOrTwiceThereIsNamed) {
  EXPECT_THAT(Refusal("colour=red"), HasSubstr("no parameter 'colour' here"));
  EXPECT_THAT(Refusal("colour=red"), HasSubstr("there are: namespace, limit"));
  EXPECT_THAT(Refusal("limit=1&limit=2"), HasSubstr("is there twice"));
  EXPECT_THAT(Refusal("limit=1&%6cimit=2"), HasSubstr("is there twice")) << "the same, encoded";
  EXPECT_THAT(Refusal("=1"), HasSubstr("no parameter"));
}

TEST(HttpQueryTest, WhatCannotBeDecodedIsShownSafely) {
  for (const char* query : {"limit=%", "limit=%1", "limit=%zz", "%f=1", "limit=%ff", "limit=%c0%af",
                            "limit=\xff", "\xc3=1", "limit=%ed%a0%80"}) {
    EXPECT_THAT(Refusal(query), HasSubstr("cannot be decoded")) << query;
  }
}

TEST(HttpQueryTest, ManyParametersAreNoMoreThanTheirFirstFault) {
  std::string query;
  for (int i = 0; i < 10'000; ++i) query += "&x=1";
  EXPECT_THAT(Refusal(query), HasSubstr("no parameter 'x' here"));
}

TEST(JsonReplyTest, BytesThatAreNoTextBecomeReplacements) {
  const HttpReply reply = JsonError(404, "PATH_UNKNOWN", "no \xff here");
  EXPECT_EQ(reply.code, 404);
  EXPECT_THAT(reply.body, HasSubstr("no \xef\xbf\xbd here"));
}

}  // namespace
}  // namespace meridian
