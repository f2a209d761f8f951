#include "server/policy/redis_url.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace meridian {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(RedisUrlTest, HostAndPortAreEnough) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl("redis://cache.eu.internal:6400");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->seeds[0].host, "cache.eu.internal");
  EXPECT_EQ(url->seeds[0].port, 6400);
  EXPECT_EQ(url->password, "");
  EXPECT_EQ(url->database, 0u);
  EXPECT_EQ(ParseRedisUrl("redis://h")->seeds[0].port, 6379);
  EXPECT_EQ(ParseRedisUrl("redis://h/")->database, 0u);
}

TEST(RedisUrlTest, CredentialsAndDatabaseAreTakenAndDecoded) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl("redis://us%65r:p%40ss%2Fw:rd@[::1]:7000/3");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->user, "user");
  EXPECT_EQ(url->password, "p@ss/w:rd");
  EXPECT_EQ(url->seeds[0].host, "::1");
  EXPECT_EQ(url->seeds[0].port, 7000);
  EXPECT_EQ(url->database, 3u);
  EXPECT_EQ(url->address(), "[::1]:7000");
  EXPECT_EQ(ParseRedisUrl("redis://:secret@h")->user, "");
  EXPECT_EQ(ParseRedisUrl("redis://:secret@h")->password, "secret");
}

TEST(RedisUrlTest, TlsTakesItsSettingsFromTheQuery) {
  EXPECT_FALSE(ParseRedisUrl("redis://h")->tls.has_value());
  const absl::StatusOr<RedisUrl> plain = ParseRedisUrl("rediss://u:p@h:6380/2");
  ASSERT_TRUE(plain.ok()) << plain.status();
  ASSERT_TRUE(plain->tls.has_value());
  EXPECT_TRUE(plain->tls->verify);
  EXPECT_EQ(plain->tls->ca_file, "");
  const absl::StatusOr<RedisUrl> full = ParseRedisUrl(
      "rediss://h/1?ca=/etc/a%26b.pem&cert=/c.pem&key=/k.pem&server_name=redis.eu&verify=false");
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_EQ(full->database, 1u);
  EXPECT_EQ(full->tls->ca_file, "/etc/a&b.pem");
  EXPECT_EQ(full->tls->certificate_file, "/c.pem");
  EXPECT_EQ(full->tls->key_file, "/k.pem");
  EXPECT_EQ(full->tls->server_name, "redis.eu");
  EXPECT_FALSE(full->tls->verify);
}

TEST(RedisUrlTest, SentinelsHaveAGroupAndPerhapsADatabase) {
  const absl::StatusOr<RedisUrl> url =
      ParseRedisUrl("redis+sentinel://u:p@h1:7000,[::1],h3/my%2Fset/2");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->shape, RedisShape::kSentinel);
  ASSERT_EQ(url->seeds.size(), 3u);
  EXPECT_EQ(url->seeds[0].text(), "h1:7000");
  EXPECT_EQ(url->seeds[1].text(), "[::1]:26379");
  EXPECT_EQ(url->seeds[2].text(), "h3:26379");
  EXPECT_EQ(url->group, "my/set");
  EXPECT_EQ(url->user, "u");
  EXPECT_EQ(url->password, "p");
  EXPECT_EQ(url->database, 2u);
  EXPECT_FALSE(url->tls.has_value());
  EXPECT_EQ(url->address(), "my/set@h1:7000,[::1]:26379,h3:26379");
}

TEST(RedisUrlTest, SentinelsHaveTheirOwnPasswordAndTls) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl(
      "redis+sentinel://h/g?ca=/ca.pem&tls=true&sentinel_user=s&sentinel_password=p%26w");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->sentinel_user, "s");
  EXPECT_EQ(url->sentinel_password, "p&w");
  ASSERT_TRUE(url->tls.has_value());
  EXPECT_EQ(url->tls->ca_file, "/ca.pem");
  EXPECT_FALSE(ParseRedisUrl("redis+sentinel://h/g?tls=false")->tls.has_value());
}

TEST(RedisUrlTest, ReplicaReadsAreForShapesThatHaveReplicas) {
  EXPECT_FALSE(ParseRedisUrl("redis+cluster://h")->replica_reads);
  EXPECT_TRUE(ParseRedisUrl("redis+cluster://h?replica_reads=true")->replica_reads);
  EXPECT_TRUE(ParseRedisUrl("redis+sentinel://h/g?replica_reads=true")->replica_reads);
  EXPECT_FALSE(ParseRedisUrl("redis://h?replica_reads=true").ok());
}

TEST(RedisUrlTest, ServersAreReachedWhereNatSays) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl(
      "redis+cluster://h:1?nat=10.0.0.1:7001/far:1,[::1]:7002/[::2]:2&replica_reads=true");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->ReachedAt({"10.0.0.1", 7001}), (RedisAddress{"far", 1}));
  EXPECT_EQ(url->ReachedAt({"::1", 7002}), (RedisAddress{"::2", 2}));
  EXPECT_EQ(url->ReachedAt({"10.0.0.1", 7002}), (RedisAddress{"10.0.0.1", 7002}));
  EXPECT_TRUE(url->replica_reads);
  for (const char* text :
       {"redis://h?nat=a:1/b:1", "redis+cluster://h?nat=a:1", "redis+cluster://h?nat=a:1/",
        "redis+cluster://h?nat=a:x/b:1", "redis+cluster://h?nat=a:1/b:1,",
        "redis+cluster://h?nat=a:1/b:1/c:1", "redis+sentinel://h/g?nat=a:1/b:1,a:1/c:1"}) {
    EXPECT_FALSE(ParseRedisUrl(text).ok()) << text;
  }
}

TEST(RedisUrlTest, AListOfHostsThatMeansNothingIsRefused) {
  for (const char* text :
       {"redis://h1,h2", "rediss://h1,h2/0", "redis+sentinel://h1,/g", "redis+sentinel://,h/g",
        "redis+sentinel://h", "redis+sentinel://h/", "redis+sentinel://h//1",
        "redis+sentinel://h/g/x", "redis+sentinel://h/a%20b", "redis+sentinel://h/g?ca=/a",
        "redis+sentinel://h/g?tls=yes", "redis+sentinel://h/g?sentinel_user=u",
        "redis://h?tls=true", "redis://h?sentinel_password=p"}) {
    EXPECT_EQ(ParseRedisUrl(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(RedisUrlTest, AQueryThatMeansNothingIsRefused) {
  for (const char* text :
       {"redis://h?ca=/a", "redis://h?verify=false", "rediss://h?", "rediss://h?ca",
        "rediss://h?ca=", "rediss://h?CA=/a", "rediss://h?cert=/c", "rediss://h?key=/k",
        "rediss://h?verify=no", "rediss://h?ca=/a&", "rediss://h?ca=%zz", "rediss://h#x",
        "rediss://h?ca=/a@b"}) {
    EXPECT_EQ(ParseRedisUrl(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(RedisUrlTest, AClusterIsFoundThroughSomeOfItsServers) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl("redis+cluster://u:p@h1:7000,h2?tls=true");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_EQ(url->shape, RedisShape::kCluster);
  ASSERT_EQ(url->seeds.size(), 2u);
  EXPECT_EQ(url->seeds[1].text(), "h2:6379");
  EXPECT_EQ(url->password, "p");
  EXPECT_TRUE(url->tls.has_value());
  EXPECT_EQ(url->address(), "h1:7000,h2:6379");
  EXPECT_TRUE(ParseRedisUrl("redis+cluster://h/0").ok());
  for (const char* text : {"redis+cluster://h/1", "redis+cluster://h/name",
                           "redis+cluster://h?sentinel_password=p", "redis+cluster://"}) {
    EXPECT_EQ(ParseRedisUrl(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(RedisUrlTest, TlsIsOnHoweverItIsSpelled) {
  const absl::StatusOr<RedisUrl> url = ParseRedisUrl("redis+cluster://h?tls=%74rue&ca=/ca.pem");
  ASSERT_TRUE(url.ok()) << url.status();
  EXPECT_TRUE(url->tls.has_value());
  EXPECT_FALSE(ParseRedisUrl("redis+cluster://h?tls=false")->tls.has_value());
}

TEST(RedisUrlTest, ANameThatWouldSwitchTheCheckOffIsRefused) {
  for (const char* text : {"rediss://h?server_name=%00", "rediss://h?server_name=a%00b",
                           "rediss://h?ca=/c%0Aa.pem", "rediss://h?key=/k%7F&cert=/c"}) {
    const absl::Status status = ParseRedisUrl(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("control characters")) << text;
  }
}

TEST(RedisUrlTest, ErrorsNeverShowThePassword) {
  for (const char* text :
       {"redis://u:hunter2@", "redis://u:hunter2@h:0", "redis://u:hunter2@h:99999",
        "redis://u:hunter2@h:x", "redis://u:hunter2@h/db", "redis://u:hunter2%@h",
        "redis://u:hunter2%zz@h", "redis://u:hunter2@[::1", "redis://u:hunter2@[::1]x",
        "redis://u:hunter2@h?x=1", "http://u:hunter2@h", "u:hunter2@h", "redis://u:hunter2@a b",
        "redis://u:hunter?2@h", "rediss://u:x?hunter2=1@h",
        "redis://u:hunter2@h:", "redis://u:hunter2@h:-1"}) {
    const absl::StatusOr<RedisUrl> url = ParseRedisUrl(text);
    ASSERT_FALSE(url.ok()) << text;
    EXPECT_THAT(url.status().ToString(), Not(HasSubstr("hunter"))) << text;
  }
}

}  // namespace
}  // namespace meridian
