// What meridianctl reads and prints.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/cli/cluster_file.h"
#include "client/cli/duration_text.h"
#include "client/cli/results.h"
#include "client/cli/suggestion.h"
#include "client/cli/text_input.h"
#include "client/cpp/check.h"
#include "common/base/utf8.h"
#include "common/rpc/proto_json.h"
#include "meridian/admin/v1/admin_service.pb.h"

namespace meridian::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DurationTextTest, DurationsAreReadAsPeopleTypeThem) {
  EXPECT_EQ(ParseDuration("500ms"), absl::Milliseconds(500));
  EXPECT_EQ(ParseDuration("5m"), absl::Minutes(5));
  EXPECT_EQ(ParseDuration("7d"), absl::Hours(7 * 24));
  EXPECT_EQ(ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(ParseDuration("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(ParseDuration("0"), absl::ZeroDuration());
  for (const char* text :
       {"", "5", "m", "5x", "-5s", "5 s", "1..5s", "5m3", "200000d", "inf", "nan"}) {
    EXPECT_EQ(ParseDuration(text), std::nullopt) << text;
  }
}

TEST(DurationTextTest, TwoUnitsAreEnoughForPeople) {
  EXPECT_EQ(DurationText(absl::ZeroDuration()), "0ms");
  EXPECT_EQ(DurationText(absl::Milliseconds(999)), "999ms");
  EXPECT_EQ(DurationText(absl::Seconds(299)), "4m59s");
  EXPECT_EQ(DurationText(absl::Minutes(5)), "5m");
  EXPECT_EQ(DurationText(absl::Hours(50) + absl::Seconds(1)), "2d2h");
}

TEST(ClusterFileTest, RegionsAndTheirNodesAreFound) {
  const auto file = ParseClusterFile("f.json", R"({"regions": {
      "us": {"redis": {"port": 1, "pid": 2}, "coordinators": [],
             "nodes": [{"name": "us-1", "data": "h:1", "admin": "h:2", "pid": 3},
                       {"name": "us-2", "data": "h:4"}]},
      "eu": {"redis": null, "nodes": [{"data": "h:5"}]}}})");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto us = file->Region("us");
  ASSERT_TRUE(us.ok());
  EXPECT_THAT(us->DataAddresses(), ElementsAre("h:1", "h:4"));
  EXPECT_EQ(us->nodes[0].admin, "h:2");
  EXPECT_THAT(std::string(file->Region("mars").status().message()), HasSubstr("eu, us"));
}

TEST(ClusterFileTest, MalformedFilesAreRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"regions": []})", R"({"regions": {}})", R"({"regions": {"us": {}}})",
        R"({"regions": {"us": {"nodes": []}}})", R"({"regions": {"us": {"nodes": [{"data": 7}]}}})",
        R"({"regions": {"us": {"nodes": [{"data": "h:99999"}]}}})",
        R"({"regions": {"us": {"nodes": [{"data": "h:1", "admin": "h"}]}}})"}) {
    const auto file = ParseClusterFile("f.json", text);
    ASSERT_FALSE(file.ok()) << text;
    EXPECT_THAT(std::string(file.status().message()), HasSubstr("f.json"));
  }
}

TEST(SuggestionTest, MistypedWordsFindTheirNeighbour) {
  const std::vector<std::string> words = {"get", "set", "mget", "invalidate", "status", "ring"};
  EXPECT_EQ(NearestWord("gte", words), "get");
  EXPECT_EQ(NearestWord("invaldate", words), "invalidate");
  EXPECT_EQ(NearestWord("stauts", words), "status");
  EXPECT_EQ(NearestWord("frobnicate", words), "");
}

TEST(TextInputTest, ArgumentsStandForThemselvesUnlessTheyBeginWithAt) {
  EXPECT_EQ(*ReadValue("hello"), "hello");
  EXPECT_EQ(*ReadValue(""), "");
  EXPECT_EQ(*ReadValue("@"), "@");
  EXPECT_EQ(*ReadValue("@@home"), "@home");
  EXPECT_EQ(ReadValue("@/nonexistent/file").status().code(), absl::StatusCode::kNotFound);
  const auto list = ReadList({"a", "", "@@b"});
  ASSERT_TRUE(list.ok());
  EXPECT_THAT(*list, ElementsAre("a", "", "@b"));
}

TEST(ProtoJsonTest, OnlyUtf8IsText) {
  for (const char* text : {"", "abc", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
    EXPECT_TRUE(IsUtf8(text)) << text;
  }
  for (const char* text : {"\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80",
                           "\xF4\x90\x80\x80", "\xFF", "a\xE2\x82"}) {
    EXPECT_FALSE(IsUtf8(text));
  }
}

TEST(SuggestionTest, ARecommendedCommandIsForTheRegionThatWasAsked) {
  EXPECT_EQ(CommandFor("meridianctl what-if task --ttl 4h", "eu"),
            "meridianctl what-if task --ttl 4h --region eu");
  EXPECT_EQ(CommandFor("meridianctl what-if task --ttl 4h", ""),
            "meridianctl what-if task --ttl 4h");
  EXPECT_EQ(CommandFor("in the policies: namespaces: {}", "eu"), "in the policies: namespaces: {}");
}

TEST(ProtoJsonTest, MessagesHaveTheFieldNamesOfTheProtos) {
  admin::v1::ExplainKeyResponse response;
  response.set_slot(7);
  admin::v1::TierState* tier = response.add_tiers();
  tier->set_tier(cache::v1::SOURCE_L2);
  tier->mutable_version()->set_hlc(0x1A2B);
  tier->mutable_version()->set_region(0xC);
  tier->set_ttl_ms(5'000'000'000);
  const auto json = ToJson(response);
  EXPECT_EQ(json["slot"], 7);
  EXPECT_EQ(json["tiers"][0]["tier"], "L2");
  EXPECT_EQ(json["tiers"][0]["version"], "0000000000001a2b000c");
  EXPECT_EQ(json["tiers"][0]["ttl_ms"], 5'000'000'000);
  EXPECT_FALSE(json["tiers"][0].contains("error"));
}

TEST(ResultsTest, AHitHasValueSourceVersionAndTimes) {
  GetResult result;
  result.status = ResultStatus::kOk;
  result.source = ResultSource::kL1;
  result.value = "\xFF";
  result.version = Version{1, 2};
  result.ttl = absl::Seconds(3);
  const auto json = ToJson("k", result);
  EXPECT_EQ(json["status"], "OK");
  EXPECT_EQ(json["source"], "L1");
  EXPECT_FALSE(json.contains("value")) << "not UTF-8";
  EXPECT_EQ(json["value_base64"], "/w==");
  EXPECT_EQ(json["version"], "00000000000000010002");
  EXPECT_EQ(json["ttl_ms"], 3000);
}

TEST(ResultsTest, ExitCodesTellRightsFromReachability) {
  const auto code = [](absl::StatusCode status) {
    ResultError error;
    error.code = status;
    return ExitCodeOf(error);
  };
  EXPECT_EQ(code(absl::StatusCode::kUnauthenticated), 4);
  EXPECT_EQ(code(absl::StatusCode::kPermissionDenied), 4);
  EXPECT_EQ(code(absl::StatusCode::kUnavailable), 5);
  EXPECT_EQ(code(absl::StatusCode::kDeadlineExceeded), 5);
  EXPECT_EQ(code(absl::StatusCode::kInvalidArgument), 1);
}

}  // namespace
}  // namespace meridian::cli
