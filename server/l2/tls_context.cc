#include "server/l2/tls_context.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace meridian {
namespace {

std::string ReasonOf(unsigned long error) {  // NOLINT: OpenSSL's type.
  // What the operating system says, e.g. that there is no such file, has no text there.
  if (ERR_SYSTEM_ERROR(error)) return std::strerror(ERR_GET_REASON(error));
  const char* reason = ERR_reason_error_string(error);
  return reason == nullptr ? absl::StrCat("error ", error) : std::string(reason);
}

// The first of OpenSSL's errors is the cause; the others follow from it.
absl::Status FileError(const char* what, const std::string& file) {
  const std::string reason = ReasonOf(ERR_get_error());
  ERR_clear_error();
  return absl::InvalidArgumentError(
      absl::StrCat("TLS: ", what, " '", file, "' cannot be used: ", reason));
}

bool IsIpAddress(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

// What a fatal error of the protocol means to whoever configured it.
std::string ProblemOfError(unsigned long error) {  // NOLINT: OpenSSL's type.
  switch (ERR_GET_REASON(error)) {
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
      return absl::StrCat(
          "TLS: the server refuses us; does it want a client certificate "
          "(cert=, key=)? ",
          ReasonOf(error));
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return absl::StrCat("TLS: the server does not trust our certificate: ", ReasonOf(error));
    case SSL_R_WRONG_VERSION_NUMBER:
      return absl::StrCat(
          "TLS: the server does not speak TLS; is the URL without TLS (redis://, http://)? ",
          ReasonOf(error));
    default:
      return absl::StrCat("TLS: ", ReasonOf(error));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(RedisTls settings) {
  std::unique_ptr<TlsContext> tls(new TlsContext(std::move(settings)));
  tls->loaded_ = tls->Fingerprint();
  ASSIGN_OR_RETURN(tls->context_, tls->Load());
  return tls;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

absl::StatusOr<ssl_ctx_st*> TlsContext::Load() const {
  struct Free {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::InternalError("OpenSSL: no context");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // What is not yet written may move: it lies in an evbuffer. Partial writes stay off: libevent
  // takes a write of a part for one of the whole.
  SSL_CTX_set_mode(context.get(), SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context.get(), settings_.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  ERR_clear_error();
  if (settings_.ca_file.empty()) {
    SSL_CTX_set_default_verify_paths(context.get());
  } else if (SSL_CTX_load_verify_file(context.get(), settings_.ca_file.c_str()) != 1) {
    return FileError("the CA file", settings_.ca_file);
  }
  if (!settings_.certificate_file.empty()) {
    if (SSL_CTX_use_certificate_chain_file(context.get(), settings_.certificate_file.c_str()) !=
        1) {
      return FileError("the certificate", settings_.certificate_file);
    }
    // Also says so when the key is not that of the certificate.
    if (SSL_CTX_use_PrivateKey_file(context.get(), settings_.key_file.c_str(), SSL_FILETYPE_PEM) !=
        1) {
      return FileError("the key", settings_.key_file);
    }
  }
  return context.release();
}

std::string TlsContext::Fingerprint() const {
  std::string fingerprint;
  for (const std::string* file :
       {&settings_.ca_file, &settings_.certificate_file, &settings_.key_file}) {
    struct stat info {};
    if (!file->empty() && stat(file->c_str(), &info) == 0) {
      absl::StrAppend(&fingerprint, info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec, ".",
                      info.st_mtim.tv_nsec);
    }
    fingerprint += ';';
  }
  return fingerprint;
}

const std::string& TlsContext::ServerName(const std::string& host) const {
  return settings_.server_name.empty() ? host : settings_.server_name;
}

absl::StatusOr<ssl_st*> TlsContext::NewSession(const std::string& host) {
  if (std::string now = Fingerprint(); now != loaded_) {
    loaded_ = std::move(now);
    if (absl::StatusOr<ssl_ctx_st*> context = Load(); context.ok()) {
      SSL_CTX_free(std::exchange(context_, *context));
    }
  }
  SSL* session = SSL_new(context_);
  if (session == nullptr) return absl::ResourceExhaustedError("OpenSSL: no session");
  const std::string& name = ServerName(host);
  // A name that is not taken would not be checked.
  const bool checked =
      IsIpAddress(name) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), name.c_str()) == 1
                        : SSL_set_tlsext_host_name(session, name.c_str()) == 1 &&
                              SSL_set1_host(session, name.c_str()) == 1;
  if (!checked) {
    SSL_free(session);
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrCat("TLS: '", name, "' is no name of a server (server_name=)"));
  }
  return session;
}

std::string TlsContext::ProblemOf(bufferevent* bev, const std::string& host) const {
  SSL* session = bufferevent_openssl_get_ssl(bev);
  const long verified = SSL_get_verify_result(session);  // NOLINT: OpenSSL's type.
  if (settings_.verify && verified != X509_V_OK) {
    const std::string reason = X509_verify_cert_error_string(verified);
    if (verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH) {
      return absl::StrCat("TLS: the server's certificate is not for '", ServerName(host),
                          "' (server_name=): ", reason);
    }
    return absl::StrCat(
        "TLS: the server's certificate is not trusted by ",
        settings_.ca_file.empty() ? "the system's authorities (ca=)" : settings_.ca_file, ": ",
        reason);
  }
  unsigned long error = bufferevent_get_openssl_error(bev);  // NOLINT: OpenSSL's type.
  if (ERR_GET_LIB(error) != ERR_LIB_SSL && SSL_is_init_finished(session) == 1) {
    // A write may have failed before the server's last words were read.
    ERR_clear_error();
    char byte;
    SSL_peek(session, &byte, 1);
    error = ERR_get_error();
  }
  ERR_clear_error();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL ||
      ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    return "";
  }
  return ProblemOfError(error);
}

}  // namespace meridian
