// TLS of Meridian's own listeners and channels (docs/adr/0048).
//
// What is made here reads the files again every second: a renewed certificate is shown, and judged
// by, on connections that begin after that. Those that are open stay.
// Thread safety: pure functions of what is in the files; what they return may be shared by threads.

#ifndef MERIDIAN_COMMON_RPC_TLS_H_
#define MERIDIAN_COMMON_RPC_TLS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
#include <string>

#include "common/tls/tls_files.h"

namespace meridian {

// How a process's channels are protected; as it is made: not at all.
struct ChannelSecurity {
  std::shared_ptr<grpc::ChannelCredentials> credentials = nullptr;
  std::string server_name = {};
};

// Of plaintext where `files` is empty.
ChannelSecurity ChannelSecurityOf(const TlsFiles& files);

// TLS 1.2 or later. `client_certificates`: only those come in whom the authorities have signed.
// Plaintext where `files` is empty; else REQUIRES: CheckTlsFiles took them, with a certificate.
std::shared_ptr<grpc::ServerCredentials> ServerCredentialsOf(const TlsFiles& files,
                                                             bool client_certificates);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_RPC_TLS_H_
