#include "server/l2/tls_certificates.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace meridian {
namespace {

class TlsCertificatesTest : public testing::Test {
 protected:
  // Files, one behind the other, as one.
  std::string Joined(const std::vector<std::string>& files) {
    const std::string path = dir_ / "joined.pem";
    std::ofstream joined(path);
    for (const std::string& file : files) joined << std::ifstream(file).rdbuf();
    return path;
  }
  static void ExpectIn(const absl::StatusOr<absl::Time>& end, absl::Duration left) {
    ASSERT_TRUE(end.ok()) << end.status();
    EXPECT_LT(absl::AbsDuration(*end - absl::Now() - left), absl::Minutes(1)) << *end;
  }

  const TempDir dir_;
  TestAuthority authority_{dir_.path(), "ca"};  // Valid for an hour.
};

TEST_F(TlsCertificatesTest, OfAChainTheFirstEndCountsAndOfAuthoritiesTheLast) {
  const TestCertificate brief = authority_.Issue("brief", "DNS:a", absl::Minutes(10));
  ExpectIn(ChainExpires(brief.certificate_file), absl::Minutes(10));
  const std::string both = Joined({authority_.ca_file(), brief.certificate_file});
  ExpectIn(ChainExpires(both), absl::Minutes(10));
  ExpectIn(AuthoritiesExpire(both), absl::Hours(1));
}

TEST_F(TlsCertificatesTest, WhatIsBesideTheCertificateDoesNotMatter) {
  const TestCertificate made = authority_.Issue("made", "DNS:a", absl::Minutes(10));
  ExpectIn(ChainExpires(Joined({made.key_file, made.certificate_file})), absl::Minutes(10));
}

TEST_F(TlsCertificatesTest, AFileWithoutACertificateIsNamed) {
  const std::string empty = dir_ / "empty.pem";
  std::ofstream(empty) << "nothing";
  const TestCertificate made = authority_.Issue("made", "DNS:a");
  for (const std::string& file : {empty, made.key_file, std::string("/nowhere/ca.pem")}) {
    EXPECT_EQ(ChainExpires(file).status().message(), "'" + file + "' has no certificate");
    EXPECT_FALSE(AuthoritiesExpire(file).ok());
  }
}

}  // namespace
}  // namespace meridian
