#include "server/coordinator/cluster_scope.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

namespace meridian {
namespace {

using nlohmann::json;

constexpr char kUs[] = R"({"region": "us", "totals": {"hits": 10, "cpu_cores": 0.5, "nodes": 3}})";
constexpr char kEu[] = R"({"region": "eu", "totals": {"hits": 7, "cpu_cores": 1, "nodes": 2}})";

ScopedQuery Scope(std::string_view query) {
  const auto taken = TakeScope(query);
  const auto* scoped = std::get_if<ScopedQuery>(&taken);
  EXPECT_NE(scoped, nullptr) << query;
  return scoped == nullptr ? ScopedQuery() : *scoped;
}

TEST(ClusterScopeTest, TheScopeIsTakenOutOfTheQuery) {
  EXPECT_FALSE(Scope("").cluster);
  EXPECT_FALSE(Scope("scope=region").cluster);
  EXPECT_EQ(Scope("limit=5&scope=region").rest, "limit=5");
  EXPECT_TRUE(Scope("scope=cluster").cluster);
  EXPECT_EQ(Scope("scope=cluster").rest, "");
  EXPECT_EQ(Scope("limit=5&scope=cluster&namespace=a%20b").rest, "limit=5&namespace=a%20b");
  EXPECT_EQ(Scope("scopes=1").rest, "scopes=1") << "whose path it is says what it thinks of it";
}

TEST(ClusterScopeTest, AnotherScopeIsRefused) {
  for (const char* query : {"scope", "scope=", "scope=node", "scope=Cluster", "scope=cluster%20",
                            "scope=cluster&scope=cluster", "scope=region&scope=cluster"}) {
    const auto taken = TakeScope(query);
    const auto* error = std::get_if<HttpReply>(&taken);
    ASSERT_NE(error, nullptr) << query;
    EXPECT_EQ(error->code, 400);
  }
}

TEST(ClusterScopeTest, WhatIsKnownIsAddedUpAndWhatIsNotIsSaid) {
  const json reply = json::parse(
      ClusterReply(
          {{.region = "us", .body = kUs, .age = absl::ZeroDuration()},
           {.region = "eu", .body = kEu, .age = absl::Milliseconds(2500), .problem = "late"},
           {.region = "asia", .age = absl::Minutes(2), .problem = "no connection"},
           {.region = "africa", .problem = "no connection"}},
          /*with_totals=*/true, absl::FromUnixSeconds(1'800'000'000))
          .body);
  EXPECT_EQ(reply["scope"], "cluster");
  EXPECT_EQ(reply["timestamp"], "2027-01-15T08:00:00.000Z");
  EXPECT_EQ(reply["regions_total"], 4);
  EXPECT_EQ(reply["regions_known"], 2);
  EXPECT_EQ(reply["totals"]["hits"], 17);
  EXPECT_EQ(reply["totals"]["cpu_cores"], 1.5);
  EXPECT_EQ(reply["totals"]["nodes"], 5);
  ASSERT_EQ(reply["regions"].size(), 4u);
  EXPECT_EQ(reply["regions"][1], (json{{"region", "eu"},
                                       {"known", true},
                                       {"age_seconds", 2.5},
                                       {"problem", "late"},
                                       {"answer", json::parse(kEu)}}));
  EXPECT_EQ(reply["regions"][2], (json{{"region", "asia"},
                                       {"known", false},
                                       {"age_seconds", 120.0},
                                       {"problem", "no connection"},
                                       {"answer", nullptr}}));
  EXPECT_TRUE(reply["regions"][3]["age_seconds"].is_null());
}

TEST(ClusterScopeTest, NonsenseOfAnotherRegionHarmsNobody) {
  for (const char* body : {"", "<html>", "7", "[]", "null", "{\"totals\": 3}",
                           "{\"totals\": {\"hits\": \"many\", \"nodes\": null}}", "{\"totals\""}) {
    const json reply =
        json::parse(ClusterReply({{.region = "us", .body = kUs, .age = absl::ZeroDuration()},
                                  {.region = "eu", .body = body, .age = absl::ZeroDuration()}},
                                 /*with_totals=*/true, absl::UnixEpoch())
                        .body);
    EXPECT_EQ(reply["totals"]["hits"], 10) << body;
    EXPECT_EQ(reply["regions"][1]["known"], body[0] == '{' && body[std::strlen(body) - 1] == '}');
  }
}

TEST(ClusterScopeTest, OnlyTheOverviewHasTotals) {
  const json reply = json::parse(
      ClusterReply({{.region = "us", .body = kUs}}, /*with_totals=*/false, absl::UnixEpoch()).body);
  EXPECT_FALSE(reply.contains("totals"));
}

}  // namespace
}  // namespace meridian
