// What is wrong with files of TLS is said before anybody uses them.

#include "common/tls/tls_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_certificates.h"

namespace meridian {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class TlsFilesTest : public testing::Test {
 protected:
  static std::string ProblemOf(const TlsFiles& files, absl::Time now = absl::Now()) {
    const absl::Status status = CheckTlsFiles(files, now);
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return std::string(status.message());
  }

  const TempDir dir_;
  TestAuthority authority_{dir_.path(), "own"};
  const TestCertificate issued_ = authority_.Issue("node", "DNS:node.test");
  const TlsFiles good_ = {issued_.certificate_file, issued_.key_file, authority_.ca_file(), ""};
};

TEST_F(TlsFilesTest, AWholeSetIsTakenAndAuthoritiesAlone) {
  EXPECT_EQ(ProblemOf(good_), "");
  EXPECT_EQ(ProblemOf({"", "", authority_.ca_file(), ""}), "");
}

TEST_F(TlsFilesTest, APartIsRefused) {
  EXPECT_THAT(ProblemOf({issued_.certificate_file, "", authority_.ca_file(), ""}),
              HasSubstr("there is no key"));
  EXPECT_THAT(ProblemOf({"", issued_.key_file, authority_.ca_file(), ""}),
              HasSubstr("there is no certificate"));
  EXPECT_THAT(ProblemOf({issued_.certificate_file, issued_.key_file, "", ""}),
              HasSubstr("no authorities"));
}

TEST_F(TlsFilesTest, AFileThatIsOfNoUseIsNamedWithTheReason) {
  TlsFiles files = good_;
  files.certificate = "/nowhere/tls.crt";
  EXPECT_THAT(ProblemOf(files),
              AllOf(HasSubstr("'/nowhere/tls.crt'"), HasSubstr("No such file or directory")));
  files = good_;
  files.authorities = dir_ / "text";
  std::ofstream(files.authorities) << "no PEM";
  EXPECT_THAT(ProblemOf(files), HasSubstr(files.authorities));
  files = good_;
  files.key = files.certificate;
  EXPECT_THAT(ProblemOf(files), HasSubstr("the key"));
}

TEST_F(TlsFilesTest, AKeyOfAnotherCertificateIsRefused) {
  TlsFiles files = good_;
  files.key = authority_.Issue("other", "DNS:other.test").key_file;
  EXPECT_THAT(ProblemOf(files), HasSubstr("mismatch"));
}

TEST_F(TlsFilesTest, TheCertificateIsValidNow) {
  EXPECT_THAT(ProblemOf(good_, absl::Now() + absl::Hours(2)), HasSubstr("has expired"));
  EXPECT_THAT(ProblemOf(good_, absl::Now() - absl::Hours(2)), HasSubstr("is not valid yet"));
}

}  // namespace
}  // namespace meridian
