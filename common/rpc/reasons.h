// The stable reasons of Meridian's errors. docs/wire.md says for each when it comes, with which
// code, and whether to try again.

#ifndef MERIDIAN_COMMON_RPC_REASONS_H_
#define MERIDIAN_COMMON_RPC_REASONS_H_

namespace meridian::reason {

// INVALID_ARGUMENT
inline constexpr char kNamespaceInvalid[] = "NAMESPACE_INVALID";
inline constexpr char kNamespaceReserved[] = "NAMESPACE_RESERVED";
inline constexpr char kKeyEmpty[] = "KEY_EMPTY";
inline constexpr char kKeyTooLong[] = "KEY_TOO_LONG";
inline constexpr char kValueTooLarge[] = "VALUE_TOO_LARGE";
inline constexpr char kTtlOutOfRange[] = "TTL_OUT_OF_RANGE";
inline constexpr char kTooManyTags[] = "TOO_MANY_TAGS";
inline constexpr char kTagInvalid[] = "TAG_INVALID";
inline constexpr char kDependencyInvalid[] = "DEPENDENCY_INVALID";
inline constexpr char kPrefixInvalid[] = "PREFIX_INVALID";
inline constexpr char kBatchEmpty[] = "BATCH_EMPTY";
inline constexpr char kBatchTooLarge[] = "BATCH_TOO_LARGE";
inline constexpr char kConditionInvalid[] = "CONDITION_INVALID";
inline constexpr char kRequestIdTooLong[] = "REQUEST_ID_TOO_LONG";
inline constexpr char kTargetMissing[] = "TARGET_MISSING";
inline constexpr char kFieldInvalid[] = "FIELD_INVALID";
inline constexpr char kMalformedRequest[] = "MALFORMED_REQUEST";
inline constexpr char kLeaseInvalid[] = "LEASE_INVALID";
inline constexpr char kRegionMismatch[] = "REGION_MISMATCH";

// UNAVAILABLE
inline constexpr char kL2Unavailable[] = "L2_UNAVAILABLE";
inline constexpr char kL2CircuitOpen[] = "L2_CIRCUIT_OPEN";
inline constexpr char kOwnerUnavailable[] = "OWNER_UNAVAILABLE";
inline constexpr char kNoOwner[] = "NO_OWNER";
inline constexpr char kNotLeader[] = "NOT_LEADER";
inline constexpr char kShuttingDown[] = "SHUTTING_DOWN";
inline constexpr char kHintsFull[] = "HINTS_FULL";
inline constexpr char kFencesUnknown[] = "FENCES_UNKNOWN";
inline constexpr char kOutcomeUnknown[] = "OUTCOME_UNKNOWN";
inline constexpr char kOriginUnavailable[] = "ORIGIN_UNAVAILABLE";

// FAILED_PRECONDITION
inline constexpr char kNotOwner[] = "NOT_OWNER";
inline constexpr char kStaleEpoch[] = "STALE_EPOCH";
inline constexpr char kClockSkew[] = "CLOCK_SKEW";
inline constexpr char kNoTraffic[] = "NO_TRAFFIC";
inline constexpr char kNoCoordinator[] = "NO_COORDINATOR";
inline constexpr char kLastNode[] = "LAST_NODE";
inline constexpr char kNodeUnknown[] = "NODE_UNKNOWN";  // NOT_FOUND

// Others
inline constexpr char kDeadlineExceeded[] = "DEADLINE_EXCEEDED";     // DEADLINE_EXCEEDED
inline constexpr char kOriginTimeout[] = "ORIGIN_TIMEOUT";            // DEADLINE_EXCEEDED
inline constexpr char kOriginError[] = "ORIGIN_ERROR";                // INTERNAL
inline constexpr char kOriginInvalid[] = "ORIGIN_INVALID";            // INTERNAL
inline constexpr char kLeaseVoid[] = "LEASE_VOID";                    // ABORTED, with CONFLICT
inline constexpr char kLeaseExpired[] = "LEASE_EXPIRED";              // ABORTED, with CONFLICT
inline constexpr char kOverloaded[] = "OVERLOADED";                  // RESOURCE_EXHAUSTED
inline constexpr char kAnswerTooLarge[] = "ANSWER_TOO_LARGE";        // RESOURCE_EXHAUSTED
inline constexpr char kTooManyNamespaces[] = "TOO_MANY_NAMESPACES";  // RESOURCE_EXHAUSTED
inline constexpr char kCorruptRecord[] = "CORRUPT_RECORD";           // DATA_LOSS
inline constexpr char kWriteContended[] = "WRITE_CONTENDED";         // ABORTED
inline constexpr char kNoOtherRegion[] = "NO_OTHER_REGION";          // FAILED_PRECONDITION
inline constexpr char kRegionCut[] = "REGION_CUT";                   // FAILED_PRECONDITION
inline constexpr char kUnknownRegion[] = "UNKNOWN_REGION";           // NOT_FOUND
inline constexpr char kNotBuilt[] = "NOT_BUILT";                     // UNIMPLEMENTED

}  // namespace meridian::reason

#endif  // MERIDIAN_COMMON_RPC_REASONS_H_
