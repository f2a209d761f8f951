#include "server/policy/tls_options.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/strings.h"
#include "common/tls/tls_files.h"
#include "server/policy/text.h"

namespace meridian {

void AddTlsOptions(TlsSettings* settings, OptionSet* set) {
  TlsFiles& files = settings->files;
  set->AddString(&files.certificate,
                 {"tls-cert", "tls.cert_file", "",
                  "PEM file with the certificate, and its chain, that the gRPC listeners show, and "
                  "that is shown to nodes and coordinators; empty: no TLS"});
  set->AddString(&files.key, {"tls-key", "tls.key_file", "", "PEM file with its key"});
  set->AddString(
      &files.authorities,
      {"tls-ca", "tls.ca_file", "",
       "PEM file with the authorities that clients, nodes and coordinators are judged by"});
  set->AddString(&files.server_name,
                 {"tls-server-name", "tls.server_name", "",
                  "Name that the certificates of nodes and coordinators have; empty: the host of "
                  "their address"});
  set->Add({"health-address", "listen.health", "",
            "Where the health service listens in plaintext, and nothing else; empty: nowhere",
            [settings](const std::vector<std::string>& texts) -> absl::Status {
              settings->health_address = texts[0];
              return texts[0].empty() ? absl::OkStatus() : CheckAddress(texts[0]);
            }});
}

void AddClientAuthOption(TlsSettings* settings, OptionSet* set) {
  set->Add({"tls-client-auth", "tls.client_auth", "require",
            "Whether clients of CacheService must show a certificate of these authorities: require "
            "or none; peers, AdminService and coordinators always require it",
            [settings](const std::vector<std::string>& texts) -> absl::Status {
              settings->client_auth = texts[0] != "none";
              if (texts[0] == "none" || texts[0] == "require") return absl::OkStatus();
              return absl::InvalidArgumentError(
                  absl::StrCat(QuoteKey(texts[0]), " is not one of require, none"));
            }});
}

absl::Status CheckTlsSettings(const TlsSettings& settings) {
  const TlsFiles& files = settings.files;
  if (!settings.on()) {
    if (!files.server_name.empty()) {
      return absl::InvalidArgumentError("--tls-server-name needs --tls-cert");
    }
    return absl::OkStatus();
  }
  for (const auto& [file, option] : {std::pair{&files.certificate, "--tls-cert"},
                                     {&files.key, "--tls-key"},
                                     {&files.authorities, "--tls-ca"}}) {
    if (!file->empty()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("TLS needs --tls-cert, --tls-key and --tls-ca; ", option, " is missing"));
  }
  return CheckTlsFiles(files, absl::Now());
}

absl::Status CheckNotReachable(const std::string& address) {
  if (IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      address,
      " is reachable from other machines and nothing protects it. Listen on 127.0.0.1, give "
      "--tls-cert, --tls-key and --tls-ca (HTTP has no TLS), or say --insecure true"));
}

}  // namespace meridian
