// RETURN_IF_ERROR and ASSIGN_OR_RETURN, which Debian's Abseil lacks. Small and replaceable.

#ifndef MERIDIAN_COMMON_BASE_STATUS_MACROS_H_
#define MERIDIAN_COMMON_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define MERIDIAN_CONCAT_INNER(a, b) a##b
#define MERIDIAN_CONCAT(a, b) MERIDIAN_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                        \
  do {                                               \
    absl::Status meridian_status = (expr);           \
    if (!meridian_status.ok()) return meridian_status; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  MERIDIAN_ASSIGN_OR_RETURN(MERIDIAN_CONCAT(meridian_result_, __LINE__), lhs, expr)

#define MERIDIAN_ASSIGN_OR_RETURN(result, lhs, expr) \
  auto result = (expr);                              \
  if (!result.ok()) return result.status();          \
  lhs = *std::move(result)

#endif  // MERIDIAN_COMMON_BASE_STATUS_MACROS_H_
