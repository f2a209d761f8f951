#include "server/origin/load_results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace meridian {
namespace {

using origin::v1::BatchLoadResponse;
using origin::v1::LoadResult;
using testing::HasSubstr;

LoadResult* Found(BatchLoadResponse* response, const std::string& key, const std::string& value) {
  LoadResult* result = response->add_results();
  result->set_key(key);
  result->set_status(origin::v1::LOAD_STATUS_FOUND);
  result->set_value(value);
  return result;
}

// "value", "absent" or the error's reason.
std::string Show(const OriginAnswer& answer) {
  if (answer.outcome == LoadOutcome::kFound) return answer.value;
  return answer.outcome == LoadOutcome::kAbsent ? "absent" : answer.error->reason;
}

TEST(LoadResultsTest, EachKeyHasItsResultInWhateverOrder) {
  BatchLoadResponse response;
  LoadResult* failed = response.add_results();
  failed->set_key("c");
  failed->set_status(origin::v1::LOAD_STATUS_ERROR);
  failed->set_error("deadlock\n");
  LoadResult* absent = response.add_results();
  absent->set_key("b");
  absent->set_status(origin::v1::LOAD_STATUS_ABSENT);
  LoadResult* found = Found(&response, "a", "v");
  found->set_ttl_ms(5000);
  found->add_tags("t");
  found->add_depends_on("key:x");
  found->set_cost(2.5);
  const LoadResults results = TakeLoadResults({"a", "b", "c"}, &response);
  ASSERT_EQ(results.answers.size(), 3);
  EXPECT_EQ(Show(results.answers[0]), "v");
  EXPECT_EQ(results.answers[0].ttl, absl::Seconds(5));
  EXPECT_EQ(results.answers[0].tags, std::vector<std::string>{"t"});
  EXPECT_EQ(results.answers[0].depends_on, std::vector<std::string>{"key:x"});
  EXPECT_EQ(results.answers[0].cost, 2.5);
  EXPECT_EQ(Show(results.answers[1]), "absent");
  EXPECT_EQ(Show(results.answers[2]), "ORIGIN_ERROR");
  EXPECT_THAT(results.answers[2].error->message, HasSubstr("deadlock"));
  EXPECT_EQ(results.answers[2].error->message.find('\n'), std::string::npos) << "escaped";
  EXPECT_EQ(results.ignored, 0);
}

TEST(LoadResultsTest, WhatWasNotAskedForIsIgnoredAndCounted) {
  BatchLoadResponse response;
  Found(&response, "other", "x");
  Found(&response, "a", "v");
  Found(&response, "", "empty");
  const LoadResults results = TakeLoadResults({"a", "b"}, &response);
  EXPECT_EQ(Show(results.answers[0]), "v");
  EXPECT_EQ(Show(results.answers[1]), "ORIGIN_INVALID");
  EXPECT_THAT(results.answers[1].error->message, HasSubstr("no result for the key"));
  EXPECT_EQ(results.ignored, 2);
}

TEST(LoadResultsTest, WhichOfSeveralResultsOfAKeyIsRightNobodyKnows) {
  BatchLoadResponse response;
  Found(&response, "a", "first");
  Found(&response, "b", "v");
  Found(&response, "a", "second");
  Found(&response, "a", "first");
  response.add_results()->set_key("c");  // An error, and then a value.
  Found(&response, "c", "v");
  const LoadResults results = TakeLoadResults({"a", "b", "c"}, &response);
  EXPECT_EQ(Show(results.answers[0]), "ORIGIN_INVALID");
  EXPECT_THAT(results.answers[0].error->message, HasSubstr("3 results for the key"));
  EXPECT_EQ(results.answers[0].value, "");
  EXPECT_EQ(Show(results.answers[1]), "v");
  EXPECT_EQ(Show(results.answers[2]), "ORIGIN_INVALID");
  EXPECT_EQ(results.ignored, 3);
}

TEST(LoadResultsTest, WhatMayNotBeStoredIsAnErrorOfItsKeyAlone) {
  const std::vector<std::function<void(LoadResult*)>> faults = {
      [](LoadResult* r) { r->set_value(std::string((8 << 20) + 1, 'x')); },
      [](LoadResult* r) { r->set_ttl_ms(366ull * 24 * 3600 * 1000); },
      [](LoadResult* r) { r->set_ttl_ms(std::numeric_limits<uint64_t>::max()); },
      [](LoadResult* r) { r->add_tags(""); },
      [](LoadResult* r) { r->add_tags(std::string(257, 't')); },
      [](LoadResult* r) {
        for (int i = 0; i < 33; ++i) r->add_tags("t");
      },
      [](LoadResult* r) {
        for (int i = 0; i < 33; ++i) r->add_depends_on("key:k");
      },
      [](LoadResult* r) { r->add_depends_on("k"); },
      [](LoadResult* r) { r->add_depends_on("key:"); },
      [](LoadResult* r) { r->add_depends_on("tag:" + std::string(257, 't')); },
      [](LoadResult* r) { r->set_cost(-1); },
      [](LoadResult* r) { r->set_cost(std::nan("")); },
      [](LoadResult* r) { r->set_cost(std::numeric_limits<double>::infinity()); },
  };
  for (size_t i = 0; i < faults.size(); ++i) {
    BatchLoadResponse response;
    faults[i](Found(&response, "bad", "v"));
    Found(&response, "good", "v");
    const LoadResults results = TakeLoadResults({"bad", "good"}, &response);
    EXPECT_EQ(Show(results.answers[0]), "ORIGIN_INVALID") << i;
    EXPECT_EQ(results.answers[0].value, "") << i;
    EXPECT_EQ(Show(results.answers[1]), "v") << i;
  }
}

TEST(LoadResultsTest, AnUnknownStatusIsAnError) {
  BatchLoadResponse response;
  Found(&response, "a", "v")->set_status(origin::v1::LOAD_STATUS_UNSPECIFIED);
  Found(&response, "b", "v")->set_status(static_cast<origin::v1::LoadStatus>(77));
  const LoadResults results = TakeLoadResults({"a", "b"}, &response);
  EXPECT_EQ(Show(results.answers[0]), "ORIGIN_ERROR");
  EXPECT_EQ(Show(results.answers[1]), "ORIGIN_ERROR");
}

}  // namespace
}  // namespace meridian
