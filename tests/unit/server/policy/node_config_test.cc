#include "server/policy/node_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "server/policy/redis_url.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class NodeConfigTest : public testing::Test {
 protected:
  absl::StatusOr<std::optional<NodeConfig>> Parse(
      std::vector<std::string> flags, std::map<std::string, std::string> environment = {}) {
    std::vector<const char*> argv = {"meridian-node"};
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    return NodeConfig::Parse(static_cast<int>(argv.size()), argv.data(), environment);
  }
  // Parses a file and returns the error's message.
  std::string ErrorOf(const std::string& yaml, std::vector<std::string> flags = {}) {
    flags.push_back("--config=" + Write(yaml));
    const auto config = Parse(flags);
    return config.ok() ? "no error" : std::string(config.status().message());
  }
  std::string Write(const std::string& yaml) {
    const std::string path = testing::TempDir() + "node_config_test.yaml";
    std::ofstream(path) << yaml;
    return path;
  }
};

TEST_F(NodeConfigTest, DefaultsAreSafeAndWorkAtOnce) {
  const auto config = Parse({});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->data_address, "127.0.0.1:7400");
  EXPECT_EQ((*config)->l1_max_bytes, 256u << 20);
  EXPECT_EQ((*config)->redis_url, "");
  EXPECT_EQ((*config)->tombstone_ttl, absl::Hours(24));
}

TEST_F(NodeConfigTest, FlagsBeatEnvironmentBeatsFileBeatsDefaults) {
  const std::string file =
      Write("node: {id: from-file, region: from-file}\nl1: {max_bytes: 1MiB}\n");
  const auto config = Parse({"--config", file, "--id", "from-flag"},
                            {{"MERIDIAN_ID", "from-env"}, {"MERIDIAN_REGION", "from-env"}});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->id, "from-flag");
  EXPECT_EQ((*config)->region, "from-env");
  EXPECT_EQ((*config)->l1_max_bytes, 1u << 20);
  EXPECT_EQ((*config)->weight, 1u);
}

TEST_F(NodeConfigTest, Requirement4_11_REDIS_URLIsTheRedisWhenNothingElseNamesOne) {
  const std::string file = Write("redis: {url: \"redis://file:6379\"}\n");
  const auto url = [this](const std::vector<std::string>& arguments,
                          const std::map<std::string, std::string>& environment) {
    const auto config = Parse(arguments, environment);
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? (*config)->redis_url : "";
  };
  const std::string alias = "redis://localhost:6379/0";
  EXPECT_EQ(url({}, {{"REDIS_URL", alias}}), alias);
  EXPECT_EQ(url({}, {{"REDIS_URL", alias}, {"MERIDIAN_REDIS", "redis://own:6379"}}),
            "redis://own:6379");
  EXPECT_EQ(url({"--config", file}, {{"REDIS_URL", alias}}), "redis://file:6379");
  EXPECT_EQ(url({"--redis", ""}, {{"REDIS_URL", alias}}), "") << "without Redis all the same";
  EXPECT_THAT(Parse({}, {{"REDIS_URL", "localhost:6379"}}).status().message(),
              HasSubstr("REDIS_URL: redis.url: Redis URL"));
}

// The variables of the source have their places in a URL; Kubernetes sets a REDIS_PORT of its own.
TEST_F(NodeConfigTest, Requirement3_07_HostPortAndDatabaseAreFromTheEnvironmentAndRedisIsOptional) {
  const auto config = Parse(
      {}, {{"MERIDIAN_REDIS", "redis://localhost:6379/2"}, {"REDIS_URL", "redis://other:1/3"}});
  ASSERT_TRUE(config.ok()) << config.status();
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl((*config)->redis_url);
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->seeds[0].host, "localhost");
  EXPECT_EQ(url->seeds[0].port, 6379);
  EXPECT_EQ(url->database, 2u);
  const auto none = Parse(
      {}, {{"REDIS_HOST", "localhost"}, {"REDIS_PORT", "tcp://10.0.0.1:6379"}, {"REDIS_DB", "0"}});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ((*none)->redis_url, "") << "L1 only";
}

TEST_F(NodeConfigTest, ErrorsNameFileLineAndField) {
  EXPECT_THAT(
      ErrorOf("node:\n  id: n1\nl1:\n  max_bites: 3\n"),
      HasSubstr("node_config_test.yaml:4: l1.max_bites: unknown; did you mean l1.max_bytes?"));
  EXPECT_THAT(ErrorOf("node:\n  id: UPPER\n"), HasSubstr("yaml:2: node.id: 'UPPER' is not"));
  EXPECT_THAT(ErrorOf("l1:\n  max_bytes: 64XB\n"), HasSubstr("yaml:2: l1.max_bytes: '64XB'"));
  EXPECT_THAT(ErrorOf("node:\n  id: a\n  id: b\n"), HasSubstr("yaml:3: node.id: given twice"));
  EXPECT_THAT(ErrorOf("node: [1, 2]\n"), HasSubstr("yaml:1: node: must be a map"));
  EXPECT_THAT(ErrorOf("- a\n"), HasSubstr("must be a map"));
  EXPECT_THAT(ErrorOf("node:\n  id: \"open\n"), HasSubstr("node_config_test.yaml:"));
  EXPECT_THAT(ErrorOf("node:\n  id: [a, b]\n"), HasSubstr("yaml:2: node.id: must be one value"));
  EXPECT_THAT(ErrorOf("node:\n  id: a\n---\nnode:\n  id: b\n"),
              HasSubstr("node_config_test.yaml:4: a second document begins"));
  EXPECT_THAT(ErrorOf("namespaces:\nl1: {max_bytes: 64MiB}\n"),
              HasSubstr("yaml:1: namespaces: is empty; for none, write {}"));
  EXPECT_THAT(ErrorOf("l1: {max_bytes: 64MiB}\n\ntiers:\n"), HasSubstr("yaml:3: tiers: is empty"));
  EXPECT_THAT(ErrorOf("unknown_section: 1\n"), HasSubstr("yaml:1: unknown_section: unknown"));
}

TEST_F(NodeConfigTest, NamespaceErrorsNameFileLineAndField) {
  EXPECT_THAT(ErrorOf("namespaces:\n  task:\n    ttl: 0\n"),
              HasSubstr("yaml:3: namespaces.task.ttl: '0' is not from 1ms to 365d"));
  EXPECT_THAT(ErrorOf("namespaces:\n  task: {tlt: 5m}\n"),
              HasSubstr("yaml:2: namespaces.task.tlt"));
  EXPECT_THAT(ErrorOf("namespaces:\n  Task: {ttl: 5m}\n"), HasSubstr("yaml:2: namespaces: 'Task'"));
  EXPECT_THAT(ErrorOf("namespaces:\n  task: {replication: both}\n"),
              HasSubstr("'both' is not one of async, sync, invalidate_only, local"));
}

TEST_F(NodeConfigTest, PoliciesAreByNamespaceWithAFallback) {
  const auto config = Parse({"--config", Write("namespaces:\n  task: {ttl: 5m, l1_ttl: 45s}\n"
                                               "  \"*\": {replication: local}\n")});
  ASSERT_TRUE(config.ok()) << config.status();
  const PolicyTable& policies = (*config)->policies;
  EXPECT_EQ(policies.Of("task").ttl, absl::Minutes(5));
  EXPECT_EQ(policies.Of("task").l1_ttl, absl::Seconds(45));
  EXPECT_EQ(policies.Of("task").replication, ReplicationMode::kAsync);
  EXPECT_EQ(policies.Of("anything").replication, ReplicationMode::kLocal);
}

TEST_F(NodeConfigTest, RegionsAndPeersAreChecked) {
  EXPECT_TRUE(Parse({"--region", "us", "--redis", "redis://h:1", "--region-redis", "eu=redis://h:2",
                     "--region-redis", "asia=redis://h:3"})
                  .ok());
  const auto message = [](const absl::StatusOr<std::optional<NodeConfig>>& config) {
    return config.ok() ? std::string("no error") : std::string(config.status().message());
  };
  EXPECT_THAT(message(Parse({"--region", "us", "--redis", "redis://h:1", "--region-redis",
                             "us=redis://h:2"})),
              HasSubstr("own region"));
  EXPECT_THAT(message(Parse({"--region-redis", "eu=redis://h:2"})), HasSubstr("needs --redis"));
  EXPECT_THAT(message(Parse({"--id", "a", "--peers", "b=h:1/h:2"})), HasSubstr("does not list"));
  EXPECT_THAT(message(Parse({"--peers", "b=h:1"})), HasSubstr("ID=DATA_ADDRESS/PEER_ADDRESS"));
  EXPECT_THAT(message(Parse({"--id", "b", "--peers", "b=h:1/h:2", "--coordinators", "h:3"})),
              HasSubstr("not both"));
}

TEST_F(NodeConfigTest, ARedisUrlThatCannotWorkIsRefusedWhereItWasWritten) {
  for (const char* url : {"nonsense", "http://h", "redis://", "redis://h:99999", "redis://h:0/1",
                          "redis://a b:6379", "redis://h:", "redis://h/one"}) {
    const std::string yaml = std::string("redis:\n  url: \"") + url + "\"\n";
    EXPECT_THAT(ErrorOf(yaml), HasSubstr("yaml:2: redis.url: Redis URL: ")) << url;
    EXPECT_THAT(ErrorOf("", {"--redis", url}), HasSubstr("--redis: redis.url: Redis URL: ")) << url;
    EXPECT_THAT(ErrorOf("", {"--redis=redis://h", "--region-redis", std::string("eu=") + url}),
                HasSubstr("--region-redis: regions: region eu: Redis URL: "))
        << url;
  }
}

TEST_F(NodeConfigTest, UrlsOfOtherRegionsMayHoldCommas) {
  const absl::StatusOr<std::optional<NodeConfig>> config =
      Parse({"--redis", "redis://h", "--region-redis",
             "eu=redis+sentinel://a:1,b:2/main?tls=true,asia=redis://c"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ((*config)->region_redis.at("eu"), "redis+sentinel://a:1,b:2/main?tls=true");
  EXPECT_EQ((*config)->region_redis.at("asia"), "redis://c");
}

TEST_F(NodeConfigTest, APasswordIsInNoErrorMessage) {
  EXPECT_THAT(ErrorOf("redis: {url: \"redis://user:hush@h:0\"}\n"),
              AllOf(HasSubstr("the port"), Not(HasSubstr("hush"))));
  EXPECT_THAT(ErrorOf("redis: {url: redis://h}\nregions: {eu: \"http://user:hush@h\"}\n"),
              AllOf(HasSubstr("region eu"), Not(HasSubstr("hush"))));
}

TEST_F(NodeConfigTest, AnL1TooSmallToHoldAnythingIsRefused) {
  for (const char* size : {"0", "1", "1023KiB"}) {
    EXPECT_THAT(ErrorOf("", {"--l1-max-bytes", size}), HasSubstr("--l1-max-bytes: l1.max_bytes: "))
        << size;
  }
  EXPECT_TRUE(Parse({"--l1-max-bytes", "1MiB"}).ok());
}

TEST_F(NodeConfigTest, MirrorsHaveRoomForSomethingOrAreNone) {
  for (const char* size : {"1", "1023KiB", "-1", "some"}) {
    EXPECT_THAT(ErrorOf("", {"--mirror-max-bytes", size}),
                HasSubstr("--mirror-max-bytes: l1.mirror_max_bytes: "))
        << size;
  }
  EXPECT_TRUE(Parse({"--mirror-max-bytes", "0"}).ok());
  EXPECT_TRUE(Parse({"--mirror-max-bytes", "1MiB"}).ok());
}

TEST_F(NodeConfigTest, WarmthIsAShareAndItsDeadlineATime) {
  for (const char* share : {"-0.1", "1.1", "nan", "warm", ""}) {
    EXPECT_THAT(ErrorOf("", {"--ready-warmth", share}), HasSubstr("--ready-warmth: warmth.ready: "))
        << share;
  }
  EXPECT_THAT(ErrorOf("", {"--ready-warmth-deadline", "-1s"}), HasSubstr("warmth.ready_deadline"));
  EXPECT_THAT(ErrorOf("", {"--heat-interval", "0"}), HasSubstr("warmth.heat_interval"));
  EXPECT_THAT(ErrorOf("", {"--refill-rate", "10001"}), HasSubstr("warmth.refill_rate"));
  EXPECT_TRUE(Parse({"--ready-warmth", "0", "--ready-warmth-deadline", "0s"}).ok());
  EXPECT_TRUE(Parse({"--ready-warmth", "1", "--refill-rate", "0"}).ok());
}

TEST_F(NodeConfigTest, PlaintextBeyondLoopbackIsRefusedUnlessAskedFor) {
  const auto refused = Parse({"--data-address", "0.0.0.0:7400"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("--insecure true"));
  EXPECT_TRUE(Parse({"--data-address", "0.0.0.0:7400", "--insecure", "true"}).ok());
}

TEST_F(NodeConfigTest, TlsIsAllOrNothing) {
  EXPECT_THAT(std::string(Parse({"--tls-key", "k"}).status().message()),
              HasSubstr("--tls-cert is missing"));
  EXPECT_THAT(std::string(Parse({"--tls-cert", "c", "--tls-key", "k"}).status().message()),
              HasSubstr("--tls-ca is missing"));
  EXPECT_THAT(std::string(Parse({"--tls-server-name", "n"}).status().message()),
              HasSubstr("needs --tls-cert"));
  EXPECT_THAT(std::string(Parse({"--tls-client-auth", "maybe"}).status().message()),
              HasSubstr("is not one of require, none"));
  const auto judged =
      Parse({"--tls-cert", "/nowhere/c", "--tls-key", "k", "--tls-ca", "/nowhere/a"});
  EXPECT_THAT(std::string(judged.status().message()), HasSubstr("/nowhere/a"));
  EXPECT_THAT(std::string(Parse({"--health-address", "here"}).status().message()),
              HasSubstr("here"));
}

TEST_F(NodeConfigTest, UnknownFlagsAndMissingFilesSayWhatToDo) {
  EXPECT_THAT(std::string(Parse({"--what"}).status().message()), HasSubstr("--help"));
  EXPECT_THAT(std::string(Parse({"--config", "/nowhere.yaml"}).status().message()),
              HasSubstr("/nowhere.yaml: cannot be read"));
  EXPECT_THAT(std::string(Parse({"--config", "."}).status().message()),
              HasSubstr(".: is a directory"));
}

TEST_F(NodeConfigTest, CheckConfigChecksTheWholeAndRunsNothing) {
  EXPECT_FALSE(Parse({"--check-config", "--region-redis", "eu=redis://h:2"}).ok());
  const auto checked = Parse({"--check-config"});
  ASSERT_TRUE(checked.ok());
  EXPECT_FALSE(checked->has_value());
}

}  // namespace
}  // namespace meridian
