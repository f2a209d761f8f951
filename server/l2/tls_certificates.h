// When the certificates in PEM files expire.
//
// Cost: reads the file. Thread safety: pure functions of what is in the file.

#ifndef MERIDIAN_SERVER_L2_TLS_CERTIFICATES_H_
#define MERIDIAN_SERVER_L2_TLS_CERTIFICATES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian {

// A file with a certificate of ours and its chain: the first end counts, what follows is of no use
// without it. kInvalidArgument, naming the file, when there is none in it.
absl::StatusOr<absl::Time> ChainExpires(const std::string& file);

// A file with authorities: the last end counts, an old one may stay in it while its certificates
// are being replaced. As above.
absl::StatusOr<absl::Time> AuthoritiesExpire(const std::string& file);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_TLS_CERTIFICATES_H_
