#include "common/tls/tls_files.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"

namespace meridian {
namespace {

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// The first of OpenSSL's errors is the cause; the others follow from it.
absl::Status FileError(const char* what, const std::string& file) {
  const unsigned long error = ERR_get_error();  // NOLINT: OpenSSL's type.
  ERR_clear_error();
  // What the operating system says has no text there.
  const char* const reason = ERR_SYSTEM_ERROR(error) ? std::strerror(ERR_GET_REASON(error))
                                                     : ERR_reason_error_string(error);
  return absl::InvalidArgumentError(absl::StrCat(
      "TLS: ", what, " '", file, "' cannot be used: ", reason == nullptr ? "no PEM" : reason));
}

absl::Status CheckDates(const X509* certificate, const std::string& file, absl::Time now) {
  time_t at = absl::ToTimeT(now);
  if (X509_cmp_time(X509_get0_notAfter(certificate), &at) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: the certificate '", file, "' has expired"));
  }
  if (X509_cmp_time(X509_get0_notBefore(certificate), &at) > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: the certificate '", file, "' is not valid yet"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: a certificate and its key go together; ",
                     files.key.empty() ? "there is no key" : "there is no certificate"));
  }
  if (files.authorities.empty()) {
    return absl::InvalidArgumentError("TLS: there are no authorities to judge others by");
  }
  const std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_method()));
  if (context == nullptr) return absl::InternalError("OpenSSL: no context");
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context.get(), files.authorities.c_str()) != 1) {
    return FileError("the file of authorities", files.authorities);
  }
  if (files.certificate.empty()) return absl::OkStatus();
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1) {
    return FileError("the certificate", files.certificate);
  }
  // Also says so when the key is not that of the certificate.
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return FileError("the key", files.key);
  }
  return CheckDates(SSL_CTX_get0_certificate(context.get()), files.certificate, now);
}

}  // namespace meridian
