#include "tests/support/test_certificates.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace meridian {
namespace {

constexpr long kValidSeconds = 3600;  // NOLINT: OpenSSL's type.

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "test certificates: %s failed\n", what);
  std::abort();
}

void AddExtension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  Check(extension != nullptr, "an extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

// Not yet signed.
X509* NewCertificate(EVP_PKEY* key, const std::string& name, long serial,  // NOLINT
                     absl::Duration valid = absl::Seconds(kValidSeconds)) {
  X509* certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -kValidSeconds);
  X509_gmtime_adj(X509_getm_notAfter(certificate), absl::ToInt64Seconds(valid));
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

void WriteCertificate(const std::string& path, X509* certificate) {
  FILE* file = std::fopen(path.c_str(), "w");
  Check(file != nullptr && PEM_write_X509(file, certificate) == 1, path.c_str());
  std::fclose(file);
}

void WriteKey(const std::string& path, EVP_PKEY* key) {
  FILE* file = std::fopen(path.c_str(), "w");
  Check(file != nullptr &&
            PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
        path.c_str());
  std::fclose(file);
}

}  // namespace

TestAuthority::TestAuthority(std::string directory, std::string name)
    : directory_(std::move(directory)), name_(std::move(name)) {
  key_ = EVP_EC_gen("P-256");
  Check(key_ != nullptr, "a key");
  certificate_ = NewCertificate(key_, name_, 1);
  X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
  AddExtension(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(certificate_, certificate_, NID_key_usage, "critical,keyCertSign");
  Check(X509_sign(certificate_, key_, EVP_sha256()) > 0, "signing");
  ca_file_ = directory_ + "/" + name_ + ".pem";
  WriteCertificate(ca_file_, certificate_);
}

TestAuthority::~TestAuthority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

TestCertificate TestAuthority::Issue(const std::string& file, const std::string& names,
                                     absl::Duration valid) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Check(key != nullptr, "a key");
  X509* certificate = NewCertificate(key, file, 2, valid);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
  AddExtension(certificate, certificate_, NID_subject_alt_name, names);
  Check(X509_sign(certificate, key_, EVP_sha256()) > 0, "signing");
  const std::string start = directory_ + "/" + name_ + "-" + file;
  TestCertificate written{start + ".pem", start + ".key"};
  WriteCertificate(written.certificate_file, certificate);
  WriteKey(written.key_file, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return written;
}

}  // namespace meridian
