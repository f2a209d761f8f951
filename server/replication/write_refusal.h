// Tells what a store refuses because of what it is sent from what it refuses because of itself.

#ifndef MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_
#define MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_

#include "absl/status/status.h"
#include "absl/strings/match.h"

namespace meridian {

// Refused because of what was sent, or of what is there under its key: sending it again would be
// refused again.
inline bool IsAboutTheWrite(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsDataLoss(status) ||
         absl::IsFailedPrecondition(status) || absl::IsOutOfRange(status);
}

// Refused on our side, because too much is on its way: what is large meets that more often.
inline bool IsOverload(const absl::Status& status) {
  return absl::IsResourceExhausted(status) && absl::StartsWith(status.message(), "L2_OVERLOADED: ");
}

// What may be refused for a key's sake: a script that fails, a value too large for the memory that
// is left. All else is about the store, or about us.
inline bool MayBeAboutAKey(const absl::Status& status) {
  if (IsOverload(status)) return false;
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return false;
    default:
      return !status.ok();
  }
}

// A store that answers, and takes no writes now: it cannot save them (a full disk), or has too few
// replicas. Of a Redis Cluster it is one server that does so. The client's message begins with the
// kind, also where a script has failed for it (StatusOfError).
inline bool RefusesWrites(const absl::Status& status) {
  return absl::IsUnavailable(status) && (absl::StartsWith(status.message(), "Redis: MISCONF") ||
                                         absl::StartsWith(status.message(), "Redis: NOREPLICAS"));
}

// No reason to doubt what the store has, nor what becomes of other slots.
inline bool IsOfOneSlot(const absl::Status& status) {
  return MayBeAboutAKey(status) || RefusesWrites(status);
}

// What is refused alone so often is refused for its own sake (its size, say), not for the store's
// load.
inline constexpr int kMaxRefusals = 5;

// So often in a row a change is refused alone, while its slot takes another write right after it,
// before it is given up. Once could be a store that has just recovered: then the change is taken
// the next time. Memory comes and goes.
inline int RefusalsThatProve(const absl::Status& refusal) {
  return absl::IsResourceExhausted(refusal) ? kMaxRefusals : 2;
}

}  // namespace meridian

#endif  // MERIDIAN_SERVER_REPLICATION_WRITE_REFUSAL_H_
