// Script is one of the Lua files in scripts/, embedded at build time.

#ifndef MERIDIAN_SERVER_L2_SCRIPT_H_
#define MERIDIAN_SERVER_L2_SCRIPT_H_

#include <string_view>

namespace meridian {

struct Script {
  std::string_view name;  // For metrics and errors: "apply".
  std::string_view source;
  std::string_view sha1;  // 40 hex digits, as Redis computes it.
};

extern const Script kApplyScript;
extern const Script kForgetFencesScript;
extern const Script kLogEndsScript;
extern const Script kLeaseAcquireScript;
extern const Script kLeaseReleaseScript;
extern const Script kLogSizesScript;
extern const Script kPutFencedScript;
extern const Script kSweepTombstonesScript;
extern const Script kTrimLogsScript;
extern const Script kVersionsScript;

}  // namespace meridian

#endif  // MERIDIAN_SERVER_L2_SCRIPT_H_
