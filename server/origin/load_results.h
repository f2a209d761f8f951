// What an origin's answer says of the keys that it was asked for: a pure function that believes
// nothing.
//
// Thread safety: pure.

#ifndef MERIDIAN_SERVER_ORIGIN_LOAD_RESULTS_H_
#define MERIDIAN_SERVER_ORIGIN_LOAD_RESULTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "meridian/origin/v1/origin_service.pb.h"
#include "server/node/origin.h"

namespace meridian {

struct LoadResults {
  std::vector<OriginAnswer> answers;  // One a key, in order; without tickets.
  size_t ignored = 0;  // Results for keys that were not asked for, and all but the first of others.
};

// A key without a result or with several, and a result that may not be stored, are errors of that
// key alone (ORIGIN_INVALID). Values are moved out of `response`. REQUIRES: the keys are distinct.
LoadResults TakeLoadResults(const std::vector<std::string>& keys,
                            origin::v1::BatchLoadResponse* response);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ORIGIN_LOAD_RESULTS_H_
