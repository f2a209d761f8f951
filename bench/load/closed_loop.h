// ClosedLoop keeps a number of unary calls in flight against one address: each answer starts the
// next call. Requests are encoded beforehand, answers are checked by CheckEntries.
//
// Cost: one thread and one completion queue a connection; the client must not be what is measured.
// Thread safety: none; one Run at a time.

#ifndef MERIDIAN_BENCH_LOAD_CLOSED_LOOP_H_
#define MERIDIAN_BENCH_LOAD_CLOSED_LOOP_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

struct ClosedLoopOptions {
  std::string target;
  std::string method;  // "/meridian.cache.v1.CacheService/Get"
  int in_flight = 50;
  int connections = 1;
  absl::Duration warm_up = absl::Milliseconds(500);
  absl::Duration duration = absl::Seconds(4);
  std::optional<size_t> value_size = 100;  // nullopt: the calls write.
  size_t entries = 1;                      // Expected in every answer.
  std::optional<uint64_t> source;          // Tier that is to answer; nullopt: any.
};

struct ClosedLoopResult {
  uint64_t calls = 0;
  uint64_t keys = 0;  // Hits of the right size, or writes.
  uint64_t misses = 0;
  uint64_t elsewhere = 0;  // Of `keys`: answered by another tier than `source`.
  uint64_t errors = 0;     // Failed calls and wrong answers.
  std::string first_error;
  absl::Duration elapsed;
  std::vector<float> latencies_us;
};

// Sends `requests` in turns. Counts what ends after the warm-up and before the end.
// REQUIRES: `requests` is not empty; in_flight >= connections >= 1.
ClosedLoopResult RunClosedLoop(const ClosedLoopOptions& options,
                               const std::vector<grpc::ByteBuffer>& requests);

}  // namespace meridian

#endif  // MERIDIAN_BENCH_LOAD_CLOSED_LOOP_H_
