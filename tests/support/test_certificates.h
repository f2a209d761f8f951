// TestAuthority is a certificate authority of a test: it signs certificates and writes them to
// files.
//
// Keys are EC P-256; everything is valid for an hour, unless it is said. Thread safety: none.

#ifndef MERIDIAN_TESTS_SUPPORT_TEST_CERTIFICATES_H_
#define MERIDIAN_TESTS_SUPPORT_TEST_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

struct evp_pkey_st;
struct x509_st;

namespace meridian {

// Paths of PEM files.
struct TestCertificate {
  std::string certificate_file;
  std::string key_file;
};

class TestAuthority {
 public:
  // Files go into `directory`, which outlives their use; `name` is their common start.
  TestAuthority(std::string directory, std::string name);
  ~TestAuthority();

  const std::string& ca_file() const { return ca_file_; }

  // `names` as OpenSSL writes them: "DNS:redis.test,IP:127.0.0.1".
  TestCertificate Issue(const std::string& file, const std::string& names,
                        absl::Duration valid = absl::Hours(1));

 private:
  const std::string directory_;
  const std::string name_;
  std::string ca_file_;
  evp_pkey_st* key_ = nullptr;
  x509_st* certificate_ = nullptr;
};

}  // namespace meridian

#endif  // MERIDIAN_TESTS_SUPPORT_TEST_CERTIFICATES_H_
