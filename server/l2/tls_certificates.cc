#include "server/l2/tls_certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <ctime>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
};

// Of each certificate of the file; never empty.
absl::StatusOr<std::vector<absl::Time>> EndsIn(const std::string& file) {
  std::vector<absl::Time> ends;
  const std::unique_ptr<BIO, Free> bio(BIO_new_file(file.c_str(), "r"));
  while (bio != nullptr) {
    // Other blocks, keys among them, are passed over.
    const std::unique_ptr<X509, Free> certificate(
        PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    std::tm utc = {};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &utc) == 1) {
      ends.push_back(absl::FromTM(utc, absl::UTCTimeZone()));
    }
  }
  ERR_clear_error();
  if (ends.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("'", file, "' has no certificate"));
  }
  return ends;
}

}  // namespace

absl::StatusOr<absl::Time> ChainExpires(const std::string& file) {
  ASSIGN_OR_RETURN(const std::vector<absl::Time> ends, EndsIn(file));
  return *std::min_element(ends.begin(), ends.end());
}

absl::StatusOr<absl::Time> AuthoritiesExpire(const std::string& file) {
  ASSIGN_OR_RETURN(const std::vector<absl::Time> ends, EndsIn(file));
  return *std::max_element(ends.begin(), ends.end());
}

}  // namespace meridian
