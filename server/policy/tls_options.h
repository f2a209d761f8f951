// The settings of TLS, which nodes and coordinators have in common (docs/adr/0048).
//
// Thread safety: pure functions of their arguments and the files.

#ifndef MERIDIAN_SERVER_POLICY_TLS_OPTIONS_H_
#define MERIDIAN_SERVER_POLICY_TLS_OPTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "common/tls/tls_files.h"
#include "server/policy/option_set.h"

namespace meridian {

struct TlsSettings {
  TlsFiles files;              // Empty: plaintext.
  bool client_auth = true;     // Of the data listener; the others always want a certificate.
  std::string health_address;  // Of a plaintext listener with health alone; empty: none.

  bool on() const { return !files.empty(); }
};

// `settings` outlives the parsing.
void AddTlsOptions(TlsSettings* settings, OptionSet* set);
// Of nodes alone: coordinators have no CacheService.
void AddClientAuthOption(TlsSettings* settings, OptionSet* set);

// kInvalidArgument when only a part is there, or what is in the files is of no use (tls.h).
absl::Status CheckTlsSettings(const TlsSettings& settings);

// kInvalidArgument when other machines reach `address`, of a listener without TLS.
absl::Status CheckNotReachable(const std::string& address);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_POLICY_TLS_OPTIONS_H_
