// A real Redis behind TLS: whom we trust, what we prove, and what people are told when it fails.

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/contract/redis_store_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace meridian {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class RedisTlsTest : public RedisStoreTest {
 protected:
  // A Redis whose certificate is for 127.0.0.1 and redis.test, signed by `authority_`.
  void StartTlsRedis(bool wants_client_certificate) {
    const TestCertificate server = authority_.Issue("server", "DNS:redis.test,IP:127.0.0.1");
    port_ = FreePort();
    StartRedis({"--tls-port", absl::StrCat(port_), "--tls-cert-file", server.certificate_file,
                "--tls-key-file", server.key_file, "--tls-ca-cert-file", authority_.ca_file(),
                "--tls-auth-clients", wants_client_certificate ? "yes" : "no"});
  }
  std::string Url(const std::string& query, const std::string& host = "127.0.0.1") const {
    return absl::StrCat("rediss://", host, ":", port_, query);
  }
  std::string TrustingUrl() const { return Url("?ca=" + authority_.ca_file()); }

  // Opens the store, expects that it cannot connect because of TLS, and returns why.
  std::string ProblemOf(const std::string& url) {
    OpenStore({}, url);
    EXPECT_TRUE(observer_.WaitForDowns(1));
    EXPECT_THAT(observer_.causes(), Contains("tls"));
    EXPECT_EQ(observer_.ups(), 0);
    const absl::Status status = ApplyStatus(Put("a", 1, "one"));
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    return store_->Health().problem;
  }

  TempDir dir_;
  TestAuthority authority_{dir_.path(), "ca"};
  uint16_t port_ = 0;
};

TEST_F(RedisTlsTest, ValuesOfAllSizesGoBothWays) {
  StartTlsRedis(false);
  OpenStore({}, TrustingUrl());
  for (const size_t size : {size_t{0}, size_t{1}, size_t{16} << 10, size_t{3} << 20}) {
    const std::string value(size, 'v');
    const std::string key = absl::StrCat("k", size);
    ASSERT_TRUE(ApplyStatus(Put(key, 1, value)).ok());
    const std::vector<L2Record> records = Fetch({Key(key)});
    ASSERT_TRUE(records[0].status.ok()) << records[0].status;
    EXPECT_EQ(ParseRecord(records[0].record.view())->value, value);
  }
  EXPECT_TRUE(store_->Health().connected);
}

TEST_F(RedisTlsTest, BatchesOfManyKeysKeepTheirOrder) {
  StartTlsRedis(false);
  OpenStore({}, TrustingUrl());
  std::vector<L2Write> writes;
  std::vector<L2Key> keys;
  for (int i = 0; i < 2000; ++i) {
    writes.push_back(Put(absl::StrCat("k", i), 1, absl::StrCat("value ", i)));
    keys.push_back(Key(absl::StrCat("k", i)));
  }
  for (const L2WriteResult& result : Apply(std::move(writes)))
    ASSERT_TRUE(result.status.ok()) << result.status;
  const std::vector<L2Record> records = Fetch(keys);
  for (size_t i = 0; i < records.size(); ++i) {
    ASSERT_TRUE(records[i].status.ok()) << records[i].status;
    ASSERT_EQ(ParseRecord(records[i].record.view())->value, absl::StrCat("value ", i));
  }
}

TEST_F(RedisTlsTest, RecoversWhenTheServerIsKilledAndComesBack) {
  StartTlsRedis(false);
  OpenStore({}, TrustingUrl());
  ASSERT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
  redis_->Kill();
  EXPECT_EQ(ApplyStatus(Put("a", 2, "two")).code(), absl::StatusCode::kUnavailable);
  const int ups = observer_.ups();
  ASSERT_TRUE(redis_->Restart().ok());
  ASSERT_TRUE(observer_.WaitForUps(ups + 2));
  EXPECT_TRUE(ApplyStatus(Put("a", 3, "three")).ok());
}

TEST_F(RedisTlsTest, AServerOfAnotherAuthorityIsRefused) {
  StartTlsRedis(false);
  const TestAuthority other(dir_.path(), "other");
  EXPECT_THAT(ProblemOf(Url("?ca=" + other.ca_file())),
              AllOf(HasSubstr("not trusted by " + other.ca_file()), HasSubstr("L2_UNAVAILABLE")));
}

TEST_F(RedisTlsTest, TheSystemsAuthoritiesDoNotTrustOurs) {
  StartTlsRedis(false);
  EXPECT_THAT(ProblemOf(Url("")), HasSubstr("not trusted by the system's authorities"));
}

TEST_F(RedisTlsTest, AServerThatIsNotTheOneMeantIsRefused) {
  StartTlsRedis(false);
  EXPECT_THAT(ProblemOf(Url("?ca=" + authority_.ca_file() + "&server_name=redis.elsewhere")),
              HasSubstr("not for 'redis.elsewhere'"));
}

TEST_F(RedisTlsTest, TheHostOfTheUrlIsTheNameThatIsChecked) {
  StartTlsRedis(false);
  // localhost is where it listens, but not what its certificate is for.
  EXPECT_THAT(ProblemOf(Url("?ca=" + authority_.ca_file(), "localhost")),
              HasSubstr("not for 'localhost'"));
}

TEST_F(RedisTlsTest, ServerNameStandsForTheHost) {
  StartTlsRedis(false);
  OpenStore({}, Url("?ca=" + authority_.ca_file() + "&server_name=redis.test", "localhost"));
  EXPECT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
}

TEST_F(RedisTlsTest, VerifyFalseTakesAnybody) {
  StartTlsRedis(false);
  OpenStore({}, Url("?verify=false", "localhost"));
  EXPECT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
}

TEST_F(RedisTlsTest, AClientCertificateIsShown) {
  StartTlsRedis(true);
  const TestCertificate mine = authority_.Issue("node", "DNS:node");
  OpenStore({}, TrustingUrl() + "&cert=" + mine.certificate_file + "&key=" + mine.key_file);
  EXPECT_TRUE(ApplyStatus(Put("a", 1, "one")).ok());
}

TEST_F(RedisTlsTest, AMissingClientCertificateIsNamed) {
  StartTlsRedis(true);
  EXPECT_THAT(ProblemOf(TrustingUrl()), HasSubstr("client certificate (cert=, key=)"));
}

TEST_F(RedisTlsTest, AServerWithoutTlsIsNamed) {
  StartRedis();
  port_ = redis_->port();
  EXPECT_THAT(ProblemOf(TrustingUrl()), HasSubstr("TLS"));
}

TEST_F(RedisTlsTest, ARenewedCertificateIsUsedWithoutARestart) {
  StartTlsRedis(true);
  TestAuthority other(dir_.path(), "other");
  const TestCertificate wrong = other.Issue("node", "DNS:node");
  EXPECT_NE(ProblemOf(TrustingUrl() + "&cert=" + wrong.certificate_file + "&key=" + wrong.key_file),
            "");
  const TestCertificate right = authority_.Issue("node", "DNS:node");
  std::filesystem::rename(right.key_file, wrong.key_file);
  std::filesystem::rename(right.certificate_file, wrong.certificate_file);
  ASSERT_TRUE(observer_.WaitForUps(2));
  EXPECT_TRUE(store_->Health().connected) << store_->Health().problem;
}

TEST_F(RedisTlsTest, AFileThatIsNotThereIsSaidInWords) {
  RedisTls tls;
  tls.ca_file = "/nowhere/ca.pem";
  auto context = TlsContext::Create(tls);
  EXPECT_EQ(std::string(context.status().message()),
            "TLS: the CA file '/nowhere/ca.pem' cannot be used: No such file or directory");
}

// Otherwise the check of the name would silently be none.
TEST_F(RedisTlsTest, ANameThatCannotBeCheckedIsNoSession) {
  RedisTls tls;
  tls.server_name = std::string(300, 'a');
  auto context = TlsContext::Create(tls);
  ASSERT_TRUE(context.ok()) << context.status();
  EXPECT_THAT(std::string((*context)->NewSession("localhost").status().message()),
              HasSubstr("is no name of a server"));
  auto empty = TlsContext::Create(RedisTls());
  ASSERT_TRUE(empty.ok()) << empty.status();
  EXPECT_FALSE((*empty)->NewSession("").ok());
}

TEST_F(RedisTlsTest, FilesThatCannotBeUsedAreRefusedAtTheStart) {
  StartTlsRedis(false);
  const auto loop = EventLoop::Create("l2-test");
  for (const std::string& query :
       {std::string("?ca=/nowhere.pem"), "?cert=/nowhere.pem&key=" + authority_.ca_file(),
        "?cert=" + authority_.ca_file() + "&key=" + authority_.ca_file()}) {
    RedisStoreOptions options;
    options.client.url = *ParseRedisUrl(Url(query));
    const absl::Status status = RedisStore::Create(**loop, options, clock_, nullptr).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << query;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cannot be used")) << query;
  }
}

}  // namespace
}  // namespace meridian
