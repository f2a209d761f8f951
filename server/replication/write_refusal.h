// Tells what a store refuses because of what it is sent from what it refuses because of itself.

#ifndef MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_
#define MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_

#include "absl/status/status.h"

namespace meridian {

// Refused because of what was sent, or of what is there under its key: sending it again would be
// refused again.
inline bool IsAboutTheWrite(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsDataLoss(status) ||
         absl::IsFailedPrecondition(status) || absl::IsOutOfRange(status);
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_
