// Deflate and Inflate: a value as zlib data (RFC 1950), and back.
//
// Promise: Inflate(*Deflate(v), v.size(), limit) == v. Inflate believes nothing: it never writes
//   more than `raw_size` bytes, refuses a `raw_size` above `limit` or above what so few bytes can
//   hold before it allocates, and returns a value only when the data ends exactly at its end, has
//   exactly `raw_size` bytes and the right checksum (Adler-32).
// Cost (bench/micro/compression_bench, one core of the development machine): level 1 reads about 300 MB/s
//   of JSON, level 6 about 110; what does not shrink costs 20 us at most from 32 KiB on; Inflate writes
//   500 to 1000 MB/s. A thread keeps its zlib states, about 300 KiB: to set one up costs 43 us, to
//   compress 1 KiB costs 4.
// Thread safety: both may be called concurrently.

#ifndef MERIDIAN_COMMON_COMPRESSION_ZLIB_CODEC_H_
#define MERIDIAN_COMMON_COMPRESSION_ZLIB_CODEC_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/buffer.h"

namespace meridian {

struct DeflateOptions {
  double min_saving =
      0.10;       // Below this share of the value's bytes the result is not worth it. 0 to 1.
  int level = 1;  // 1 (fast) to 9 (small).
};

// `value` in at most (1 - min_saving) of its bytes; nullopt when that cannot be done. What does not
// shrink is noticed early: a large value is given up after a sample of it.
std::optional<Buffer> Deflate(std::string_view value, const DeflateOptions& options);

// The `raw_size` bytes that `bytes` was made from.
// Returns kDataLoss, naming what is wrong, for bytes that are not exactly that.
absl::StatusOr<Buffer> Inflate(std::string_view bytes, size_t raw_size, size_t limit);

// CPU time of the calling thread, to charge compression with. A system call: some 300 ns.
absl::Duration ThreadCpuTime();

}  // namespace meridian

#endif  // MERIDIAN_COMMON_COMPRESSION_ZLIB_CODEC_H_
