// The PEM files that a process proves itself and judges others with.
//
// Thread safety: pure functions of what is in the files.

#ifndef MERIDIAN_COMMON_TLS_TLS_FILES_H_
#define MERIDIAN_COMMON_TLS_TLS_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian {

struct TlsFiles {
  std::string certificate = {};  // With its chain; empty, with `key`: a client that proves nothing.
  std::string key = {};
  std::string authorities = {};
  std::string server_name = {};  // Of all servers' certificates; empty: the host of their address.

  bool empty() const { return certificate.empty() && key.empty() && authorities.empty(); }
};

// kInvalidArgument, naming the file, when one cannot be read or has not what it should have, when
// the key is not the certificate's, or when the certificate is not valid at `now`.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

}  // namespace meridian

#endif  // MERIDIAN_COMMON_TLS_TLS_FILES_H_
