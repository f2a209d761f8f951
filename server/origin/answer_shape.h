// Whether an origin's answer may be parsed: its bytes are bounded by what a message may have, but
// what they become in memory is not: an empty result takes 2 bytes of an answer and about a hundred
// when it was parsed, as unknown fields do.
//
// Cost: one pass over the fields, without looking into values; no memory.
// Thread safety: pure.

#ifndef MERIDIAN_SERVER_ORIGIN_ANSWER_SHAPE_H_
#define MERIDIAN_SERVER_ORIGIN_ANSWER_SHAPE_H_

#include <google/protobuf/io/zero_copy_stream.h>

#include <cstddef>

#include "absl/status/status.h"

namespace meridian {

// Results and their fields, known or not. An answer for 1000 keys, with all the tags and
// dependencies that are allowed, has about 70,000. What so many fields take at most is less than
// the bytes of the largest answer.
inline constexpr size_t kMaxAnswerFields = size_t{1} << 17;

// kOutOfRange: the bytes have more fields; kInternal: they are no BatchLoadResponse. Of what is OK
// no parser makes more than kMaxAnswerFields fields; it may still be none.
absl::Status CheckAnswerShape(google::protobuf::io::ZeroCopyInputStream& bytes);

}  // namespace meridian

#endif  // MERIDIAN_SERVER_ORIGIN_ANSWER_SHAPE_H_
